#include <cotape/nn/layer_chains.hpp>

#include <fmt/format.h>

namespace cotape::nn {
namespace {

std::string join_path(const std::string& path, std::string_view name) {
    return path.empty() ? std::string(name) : fmt::format("{}.{}", path, name);
}

} // namespace

std::string Place::text() const { return fmt::format("{}, {}", path, part().describe()); }

std::string LayerChains::shared(Module& part, const std::string& path) const {
    const std::vector<std::string>& own = modules_.at(&part);
    if (own.size() > 1) return "it also as " + own[1];
    for (const Named<Parameter>& named : part.parameters())
        for (const std::string& other : states_.at(named.state.id()))
            if (other != join_path(path, named.path)) return fmt::format("its {} also as {}", named.path, other);
    return "";
}

void LayerChains::operator()(std::string_view name, State& state) {
    states_[state.id()].push_back(join_path(path_, name));
}

void LayerChains::operator()(std::string_view name, Module& module) {
    std::string parent = std::exchange(path_, join_path(path_, name));
    enter(module, false);
    path_ = parent;
}

void LayerChains::enter(Module& module, bool in_chain) {
    std::vector<std::string>& paths = modules_[&module];
    paths.push_back(path_);
    auto* net = dynamic_cast<Recurrent*>(&module);
    if (net && paths.size() == 1) recurrent_.emplace_back(path_, net);
    auto* whole = dynamic_cast<Sequential*>(&module);
    if (!whole) return module.visit(*this);
    if (!in_chain) chains_.emplace_back();
    std::size_t chain = chains_.size() - 1;
    std::string parent = path_;
    for (std::size_t i = 0; i < whole->size(); ++i) {
        path_ = join_path(parent, std::to_string(i));
        bool nested = dynamic_cast<Sequential*>(&(*whole)[i]);
        if (!nested) chains_[chain].push_back({whole, i, path_});
        enter((*whole)[i], nested);
    }
    path_ = parent;
}

} // namespace cotape::nn
