#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <cotape/nn/recurrent.hpp>
#include <cotape/nn/sequential.hpp>

namespace cotape::nn {

/// A part of a Sequential, in its place.
struct Place {
    Sequential* whole;
    std::size_t index;
    std::string path;

    Module& part() const { return (*whole)[index]; }
    /// "0.1, Relu"
    std::string text() const;
};

/// What a model is made of, as far as folding must know it: which layer stands before which, and what is shared.
class LayerChains : public Visitor {
  public:
    explicit LayerChains(Module& model) { enter(model, false); }

    /// What runs one after the other: the parts of a Sequential, with those of Sequentials inside it in their places.
    const std::vector<std::vector<Place>>& chains() const { return chains_; }
    /// The recurrent nets, each under its first path.
    const std::vector<std::pair<std::string, Recurrent*>>& recurrent() const { return recurrent_; }
    /// What of `part`, which stands at `path`, the model has at another place as well: "it also as head", or "its
    /// weight also as ..."; empty where all of it is its own.
    std::string shared(Module& part, const std::string& path) const;

    void operator()(std::string_view name, Parameter& parameter) override {
        (*this)(name, static_cast<State&>(parameter));
    }
    void operator()(std::string_view name, State& state) override;
    void operator()(std::string_view name, Module& module) override;

  private:
    void enter(Module& module, bool in_chain);

    std::string path_;
    std::vector<std::vector<Place>> chains_;
    std::vector<std::pair<std::string, Recurrent*>> recurrent_;
    /// Under which paths each state, and each module, stands.
    std::map<std::uint64_t, std::vector<std::string>> states_;
    std::map<const Module*, std::vector<std::string>> modules_;
};

} // namespace cotape::nn
