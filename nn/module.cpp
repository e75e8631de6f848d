#include <cotape/nn/module.hpp>

#include <algorithm>
#include <functional>
#include <set>
#include <unordered_set>

#include <fmt/format.h>

#include <cotape/core/error.hpp>
#include <cotape/core/tape.hpp>

namespace cotape::nn {
namespace {

std::string join_path(const std::string& path, std::string_view name) {
    return path.empty() ? std::string(name) : fmt::format("{}.{}", path, name);
}

/// Walks a whole tree, in order.
class Walk : public Visitor {
  public:
    std::function<void(const std::string& path, Parameter&)> on_parameter = [](const std::string&, Parameter&) {};
    std::function<void(const std::string& path, State&)> on_statistic = [](const std::string&, State&) {};
    std::function<void(const std::string& path, Module&)> on_module = [](const std::string&, Module&) {};

    void start(Module& root) {
        on_module("", root);
        root.visit(*this);
    }
    void operator()(std::string_view name, Parameter& parameter) override {
        on_parameter(join_path(path_, name), parameter);
    }
    void operator()(std::string_view name, State& statistic) override {
        on_statistic(join_path(path_, name), statistic);
    }
    void operator()(std::string_view name, Module& module) override {
        std::string parent = std::exchange(path_, join_path(path_, name));
        on_module(path_, module);
        module.visit(*this);
        path_ = parent;
    }
    /// The path of the module whose members are being shown.
    const std::string& module_path() const { return path_; }

  private:
    std::string path_;
};

/// States in the order in which they come, each under its first path.
template <class Kind>
class EachOnce {
  public:
    void operator()(const std::string& path, const Kind& state) {
        if (known_.insert(state.id()).second) list.push_back({path, state});
    }

    std::vector<Named<Kind>> list;

  private:
    std::unordered_set<std::uint64_t> known_;
};

/// Tells the direct parts of a module their names.
class NameParts : public Visitor {
  public:
    explicit NameParts(std::function<void(std::string_view, Module&)> name) : name_(std::move(name)) {}
    void operator()(std::string_view, Parameter&) override {}
    void operator()(std::string_view, State&) override {}
    void operator()(std::string_view name, Module& module) override { name_(name, module); }

  private:
    std::function<void(std::string_view, Module&)> name_;
};

} // namespace

Var Module::operator()(Var x, Where where) {
    Var y;
    recorded(x.tape(), where, [&] { y = forward(x); });
    return y;
}

void Module::require_dtype(Var own, Dtype input) const {
    if (own.dtype() == input) return;
    std::string name = describe();
    throw DtypeError(fmt::format("{}: needs {} as its state is, got {}", name.substr(0, name.find('(')),
                                 to_string(own.dtype()), to_string(input)));
}

void Module::recorded(Tape& tape, Where where, const std::function<void()>& body) {
    name_parts();
    std::optional<Tape::Transaction> whole; // of the outermost module: it is recorded in full, or not at all
    if (!tape.in_scope()) whole.emplace(tape);
    Tape::ModuleScope scope(tape, name_, where);
    body();
    if (whole) whole->keep();
}

void Module::name_parts() {
    NameParts names([](std::string_view name, Module& part) { part.name_ = name; });
    visit(names);
}

void Module::set_training(bool training) {
    Walk walk;
    walk.on_module = [training](const std::string&, Module& module) { module.training_ = training; };
    walk.start(*this);
}

std::vector<Named<Parameter>> Module::parameters() {
    EachOnce<Parameter> parameters;
    Walk walk;
    walk.on_parameter = std::ref(parameters);
    walk.start(*this);
    return std::move(parameters.list);
}

std::vector<Named<State>> Module::statistics() {
    EachOnce<State> statistics;
    Walk walk;
    walk.on_statistic = std::ref(statistics);
    walk.start(*this);
    return std::move(statistics.list);
}

std::int64_t Module::parameter_count() {
    std::int64_t count = 0;
    for (const Named<Parameter>& named : parameters()) count += named.state.value().size();
    return count;
}

Evaluating::Evaluating(Module& module) {
    Walk walk;
    walk.on_module = [this](const std::string&, Module& part) { before_.emplace_back(&part, part.is_training()); };
    walk.start(module);
    module.evaluate();
}

Evaluating::~Evaluating() {
    for (auto [module, training] : before_) module->training_ = training;
}

std::string summary(Module& module) {
    struct Line {
        std::string path, description, shapes;
        std::int64_t count = 0;
    };
    std::vector<Line> lines;
    std::set<std::uint64_t> counted;
    Walk walk;
    walk.on_module = [&](const std::string& path, Module& part) { lines.push_back({path, part.describe(), "", 0}); };
    walk.on_parameter = [&](const std::string& path, Parameter& parameter) {
        const std::string& owner = walk.module_path();
        std::string name = owner.empty() ? path : path.substr(owner.size() + 1);
        Line& line = *std::ranges::find(lines, owner, &Line::path);
        bool is_new = counted.insert(parameter.id()).second;
        line.shapes += fmt::format("{}{} {}{}", line.shapes.empty() ? "" : ", ", name,
                                   to_string(parameter.type().shape), is_new ? "" : " shared");
        if (is_new) line.count += parameter.value().size();
    };
    walk.start(module);

    std::size_t widest_path = 4, widest_description = 5, widest_shapes = 10;
    for (const Line& line : lines) {
        widest_path = std::max(widest_path, line.path.size());
        widest_description = std::max(widest_description, line.description.size());
        widest_shapes = std::max(widest_shapes, line.shapes.size());
    }
    auto row = [&](const std::string& path, const std::string& description, const std::string& shapes,
                   const std::string& count) {
        return fmt::format("{:<{}}  {:<{}}  {:<{}}  {:>9}\n", path, widest_path, description, widest_description,
                           shapes, widest_shapes, count);
    };
    std::string table = row("path", "layer", "parameters", "count");
    for (const Line& line : lines)
        table += row(line.path, line.description, line.shapes, fmt::format("{}", line.count));
    return table + row("", "", "total", fmt::format("{}", module.parameter_count()));
}

} // namespace cotape::nn
