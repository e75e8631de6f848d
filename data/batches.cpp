#include <cotape/data/batches.hpp>

#include <algorithm>
#include <future>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/draws.hpp>

namespace cotape::data {

/// One walk over the data: the order of the rows, the present batch, and the one being assembled.
class Batches::Pass {
  public:
    explicit Pass(const Batches& batches) : batches_(batches), order_(static_cast<std::size_t>(batches.rows_)) {
        std::iota(order_.begin(), order_.end(), 0);
        if (batches_.random_ && batches_.options_.shuffle)
            for (std::size_t i = order_.size(); i > 1; --i)
                std::swap(order_[i - 1], order_[draw_below(*batches_.random_, i)]);
        advance();
    }

    bool done() const { return index_ == batches_.count_; }
    const Dataset& batch() const { return batch_; }

    void advance() {
        std::int64_t arriving = std::exchange(index_, batches_.count_); // over, should assembling throw
        if (++arriving >= batches_.count_) return;
        batch_ = next_.valid() ? next_.get() : assemble(arriving);
        if (batches_.options_.prefetch && arriving + 1 < batches_.count_)
            next_ = std::async([this, arriving] { return assemble(arriving + 1); }); // its destructor waits
        index_ = arriving;
    }

  private:
    Dataset assemble(std::int64_t index) const {
        bool takes_the_rest = index + 1 == batches_.count_ && batches_.options_.last != LastBatch::drop;
        auto first = static_cast<std::size_t>(index * batches_.batch_size_);
        std::size_t count = takes_the_rest ? order_.size() - first : static_cast<std::size_t>(batches_.batch_size_);
        Dataset batch = select(batches_.dataset_, std::span(order_).subspan(first, count));
        return batches_.options_.transform ? batches_.options_.transform(batch) : batch;
    }

    Batches batches_;
    std::vector<std::int64_t> order_;
    std::int64_t index_ = -1;
    Dataset batch_;
    std::future<Dataset> next_;
};

Batches::Batches(const Dataset& dataset, std::int64_t batch_size, std::mt19937* random, const BatchOptions& options)
    : dataset_(dataset), rows_(dataset.size()), batch_size_(batch_size), random_(random), options_(options) {
    if (rows_ == 0) throw ValueError("batches: expected at least one row, got an empty dataset");
    if (batch_size < 1)
        throw ValueError(fmt::format("batches: expected a batch size of at least 1, got {}", batch_size));
    std::int64_t full = rows_ / batch_size;
    std::int64_t rest = rows_ % batch_size;
    if (options.last == LastBatch::drop && full == 0)
        throw ValueError(fmt::format("batches: expected at least one full batch where the last is dropped, got {} rows "
                                     "for batches of {}",
                                     rows_, batch_size));
    bool short_batch = rest != 0 && (options.last == LastBatch::keep || full == 0);
    count_ = full + (short_batch ? 1 : 0);
    std::int64_t fewest = short_batch ? rest : batch_size;
    if (fewest < options.smallest)
        throw ValueError(fmt::format("batches: expected at least {} rows in every batch, but {} rows in batches of {} "
                                     "leave one of {}{}",
                                     options.smallest, rows_, batch_size, fewest,
                                     short_batch ? "; drop or merge the last batch" : ""));
}

Batches::Iterator Batches::begin() const { return Iterator(std::make_shared<Pass>(*this)); }

const Dataset& Batches::Iterator::operator*() const { return pass_->batch(); }

Batches::Iterator& Batches::Iterator::operator++() {
    pass_->advance();
    return *this;
}

bool Batches::Iterator::operator==(std::default_sentinel_t) const { return pass_->done(); }

Batches batches(const Dataset& dataset, std::int64_t batch_size, std::mt19937& random, const BatchOptions& options) {
    return {dataset, batch_size, &random, options};
}

Batches batches(const Dataset& dataset, std::int64_t batch_size, const BatchOptions& options) {
    return {dataset, batch_size, nullptr, options};
}

} // namespace cotape::data
