#pragma once

#include <concepts>
#include <memory>
#include <utility>
#include <vector>

#include <cotape/nn/module.hpp>

namespace cotape::nn {

/// Modules applied one after the other; its parts are named "0", "1", ...
class Sequential : public Module {
  public:
    template <std::derived_from<Module>... Modules>
    explicit Sequential(Modules... modules) {
        (add(std::move(modules)), ...);
    }

    /// Appends a module; returns it in its place.
    template <std::derived_from<Module> Part>
    Part& add(Part module) {
        modules_.push_back(std::make_unique<Part>(std::move(module)));
        return static_cast<Part&>(*modules_.back());
    }

    /// Puts a module in the place of the one at `i`, which it returns: references to that one stay good while it lives.
    std::unique_ptr<Module> replace(std::size_t i, std::unique_ptr<Module> module) {
        return std::exchange(modules_[i], std::move(module));
    }

    std::size_t size() const { return modules_.size(); }
    Module& operator[](std::size_t i) { return *modules_[i]; }

    void visit(Visitor& visitor) override;
    std::string describe() const override { return "Sequential"; }

  protected:
    Var forward(Var x) override;

  private:
    std::vector<std::unique_ptr<Module>> modules_;
};

} // namespace cotape::nn
