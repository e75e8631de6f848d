#include <cotape/ops/convolution_onednn.hpp>

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include <dnnl.hpp>
#include <omp.h>

#include <cotape/core/buffer_pool.hpp>

namespace cotape {
namespace {

using dnnl::memory;
using Key = std::vector<std::int64_t>;

const dnnl::engine& engine() {
    static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
    return cpu;
}

dnnl::primitive_attr with_own_scratchpad() {
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    return attributes;
}

/// Memory of the pool that lives as long as this.
class Buffer {
  public:
    explicit Buffer(const memory::desc& layout)
        : bytes_(allocate_buffer(layout.get_size())), memory_(layout, engine(), bytes_.get()) {}
    const dnnl::memory& memory() const { return memory_; }

  private:
    std::shared_ptr<std::byte> bytes_;
    dnnl::memory memory_;
};

/// A copy between two layouts of a tensor.
struct Reorder {
    dnnl::reorder::primitive_desc description;
    dnnl::reorder primitive;

    Reorder(const memory::desc& from, const memory::desc& to)
        : description(engine(), from, engine(), to, with_own_scratchpad()), primitive(description) {}

    void run(const dnnl::stream& stream, const dnnl::memory& from, const dnnl::memory& to) const {
        Buffer scratchpad(description.scratchpad_desc());
        primitive.execute(stream,
                          {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}, {DNNL_ARG_SCRATCHPAD, scratchpad.memory()}});
    }
};

/// A tensor as Cotape has it, and as the primitive wants it.
struct Argument {
    int argument;
    memory::desc dense, wanted;
    std::optional<Reorder> reorder;
};

/// One part of one convolution, ready to run. Never changed, so that several threads may run it.
class Prepared {
  public:
    Prepared(const Convolution& shape, ConvolutionPart part) {
        const Layouts dense(shape, true), any(shape, false);
        std::vector<memory::dim> stride, dilation, padding;
        for (std::size_t i = first_axis(shape); i < 3; ++i) {
            stride.push_back(shape.axes[i].stride);
            dilation.push_back(shape.axes[i].dilation - 1);
            padding.push_back(shape.axes[i].padding);
        }
        auto algorithm = dnnl::algorithm::convolution_direct;
        dnnl::convolution_forward::primitive_desc forward(
            {dnnl::prop_kind::forward_training, algorithm, any.x, any.w, any.y, stride, dilation, padding, padding},
            with_own_scratchpad(), engine());
        switch (part) {
        case ConvolutionPart::output:
            take<dnnl::convolution_forward>(forward);
            set(DNNL_ARG_SRC, dense.x, forward.src_desc(), DNNL_ARG_WEIGHTS, dense.w, forward.weights_desc(),
                DNNL_ARG_DST, dense.y, forward.dst_desc());
            break;
        case ConvolutionPart::data: {
            dnnl::convolution_backward_data::primitive_desc backward(
                {algorithm, any.x, any.w, any.y, stride, dilation, padding, padding}, with_own_scratchpad(), engine(),
                forward);
            take<dnnl::convolution_backward_data>(backward);
            set(DNNL_ARG_DIFF_DST, dense.y, backward.diff_dst_desc(), DNNL_ARG_WEIGHTS, dense.w,
                backward.weights_desc(), DNNL_ARG_DIFF_SRC, dense.x, backward.diff_src_desc());
            break;
        }
        case ConvolutionPart::weight: {
            dnnl::convolution_backward_weights::primitive_desc backward(
                {algorithm, any.x, any.w, any.y, stride, dilation, padding, padding}, with_own_scratchpad(), engine(),
                forward);
            take<dnnl::convolution_backward_weights>(backward);
            set(DNNL_ARG_SRC, dense.x, backward.src_desc(), DNNL_ARG_DIFF_DST, dense.y, backward.diff_dst_desc(),
                DNNL_ARG_DIFF_WEIGHTS, dense.w, backward.diff_weights_desc());
            break;
        }
        }
    }

    void run(const float* a, const float* b, float* result) const {
        dnnl::stream stream(engine());
        std::vector<Buffer> buffers;
        std::unordered_map<int, memory> arguments;
        auto give = [&](const Argument& tensor, const float* elements) {
            memory dense(tensor.dense, engine(), const_cast<float*>(elements)); // inputs are only read
            if (tensor.reorder) {
                buffers.emplace_back(tensor.wanted);
                tensor.reorder->run(stream, dense, buffers.back().memory());
                dense = buffers.back().memory();
            }
            arguments.emplace(tensor.argument, dense);
        };
        give(*a_, a);
        give(*b_, b);
        memory dense(result_->dense, engine(), result), computed = dense;
        if (result_->reorder) {
            buffers.emplace_back(result_->wanted);
            computed = buffers.back().memory();
        }
        arguments.emplace(result_->argument, computed);
        buffers.emplace_back(scratchpad_);
        arguments.emplace(DNNL_ARG_SCRATCHPAD, buffers.back().memory());
        primitive_.execute(stream, arguments);
        if (result_->reorder) result_->reorder->run(stream, computed, dense);
        stream.wait();
    }

  private:
    /// One- and two-dimensional convolutions go to oneDNN with two axes.
    static std::size_t first_axis(const Convolution& shape) {
        const SlidingAxis& axis = shape.axes[0];
        return axis.input == 1 && axis.kernel == 1 && axis.padding == 0 && axis.stride == 1 ? 1 : 0;
    }

    struct Layouts {
        memory::desc x, w, y;

        Layouts(const Convolution& shape, bool dense) {
            memory::dims of_x{shape.batch, shape.inputs}, of_y{shape.batch, shape.outputs};
            memory::dims of_w{shape.outputs / shape.groups, shape.inputs / shape.groups};
            if (shape.groups > 1) of_w.insert(of_w.begin(), shape.groups);
            for (std::size_t i = first_axis(shape); i < 3; ++i) {
                of_x.push_back(shape.axes[i].input);
                of_w.push_back(shape.axes[i].kernel);
                of_y.push_back(shape.axes[i].output);
            }
            x = describe(of_x, dense);
            w = describe(of_w, dense);
            y = describe(of_y, dense);
        }

        static memory::desc describe(const memory::dims& extents, bool dense) {
            if (!dense) return {extents, memory::data_type::f32, memory::format_tag::any};
            memory::dims strides(extents.size(), 1);
            for (std::size_t i = extents.size(); i-- > 1;) strides[i - 1] = strides[i] * extents[i];
            return {extents, memory::data_type::f32, strides};
        }
    };

    template <class Primitive, class Description>
    void take(const Description& description) {
        primitive_ = Primitive(description);
        scratchpad_ = description.scratchpad_desc();
    }

    void set(int a, const memory::desc& dense_a, const memory::desc& wanted_a, int b, const memory::desc& dense_b,
             const memory::desc& wanted_b, int result, const memory::desc& dense_result,
             const memory::desc& wanted_result) {
        a_.emplace(Argument{a, dense_a, wanted_a, {}});
        b_.emplace(Argument{b, dense_b, wanted_b, {}});
        result_.emplace(Argument{result, dense_result, wanted_result, {}});
        for (std::optional<Argument>* input : {&a_, &b_})
            if ((*input)->dense != (*input)->wanted) (*input)->reorder.emplace((*input)->dense, (*input)->wanted);
        if (dense_result != wanted_result) result_->reorder.emplace(wanted_result, dense_result);
    }

    dnnl::primitive primitive_;
    memory::desc scratchpad_;
    std::optional<Argument> a_, b_, result_;
};

Key key_of(const Convolution& shape, ConvolutionPart part) {
    // oneDNN prepares for a number of threads.
    Key key{static_cast<std::int64_t>(part), omp_get_max_threads(), shape.batch, shape.inputs, shape.outputs,
            shape.groups};
    for (const SlidingAxis& axis : shape.axes)
        key.insert(key.end(), {axis.input, axis.kernel, axis.stride, axis.padding, axis.dilation, axis.output});
    return key;
}

/// What is prepared for a part of a shape; null where oneDNN has no way to compute it.
std::shared_ptr<const Prepared> prepared(const Convolution& shape, ConvolutionPart part) {
    static std::mutex mutex;
    static std::map<Key, std::shared_ptr<const Prepared>> kept;
    constexpr std::size_t limit = 512;

    Key key = key_of(shape, part);
    std::lock_guard lock(mutex);
    if (auto found = kept.find(key); found != kept.end()) return found->second;
    std::shared_ptr<const Prepared> made;
    try {
        made = std::make_shared<Prepared>(shape, part);
    } catch (const dnnl::error& error) {
        if (error.status != dnnl_unimplemented) throw;
    }
    if (kept.size() >= limit) kept.clear();
    return kept.emplace(std::move(key), std::move(made)).first->second;
}

} // namespace

bool convolve_by_onednn(const Convolution& shape, ConvolutionPart part, const float* a, const float* b, float* result) {
    if (shape.batch * shape.inputs * shape.outputs * shape.input_plane() == 0) return false;
    std::shared_ptr<const Prepared> ready = prepared(shape, part);
    if (ready) ready->run(a, b, result);
    return ready != nullptr;
}

} // namespace cotape
