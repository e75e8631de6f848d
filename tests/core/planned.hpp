#pragma once

#include <functional>
#include <set>
#include <vector>

#include <omp.h>

#include <cotape/core/buffer_reuse.hpp>
#include <cotape/core/evaluate.hpp>
#include <cotape/core/fusion_plan.hpp>
#include <cotape/core/tape.hpp>

/// The plan by which the fusing evaluator would compute `vars`.
inline cotape::FusionPlan planned(const std::vector<cotape::Var>& vars) {
    const cotape::Tape& tape = vars.front().tape();
    std::vector<cotape::NodeId> requested, pending;
    for (cotape::Var var : vars) requested.push_back(var.id());
    std::set<cotape::NodeId> needed;
    pending = requested;
    while (!pending.empty()) {
        cotape::NodeId id = pending.back();
        pending.pop_back();
        if (!tape.computed(id).empty() || !needed.insert(id).second) continue;
        for (cotape::NodeId input : tape.node(id).inputs) pending.push_back(input);
    }
    cotape::FusionPlan plan = cotape::make_fusion_plan(tape, std::vector(needed.begin(), needed.end()), requested);
    cotape::plan_reuse(plan, tape, requested, {});
    return plan;
}

/// How many groups run as parts of series.
inline std::size_t groups_in_series(const cotape::FusionPlan& plan) {
    std::size_t count = 0;
    for (const cotape::PlanUnit& unit : plan.units) count += unit.series >= 0 && unit.group >= 0;
    return count;
}

/// The values of what `record` records of `x`, computed on so many threads.
inline std::vector<cotape::Tensor>
values_on(int threads, const cotape::Tensor& x, const std::function<std::vector<cotape::Var>(cotape::Var)>& record,
          cotape::Keep kept, cotape::Evaluator evaluator = cotape::Evaluator::fused) {
    omp_set_num_threads(threads);
    cotape::Tape tape({.evaluator = evaluator});
    std::vector<cotape::Var> vars = record(tape.variable(x));
    cotape::evaluate(vars, kept);
    omp_set_num_threads(omp_get_num_procs());
    std::vector<cotape::Tensor> values;
    for (cotape::Var var : vars) values.push_back(var.value());
    return values;
}
