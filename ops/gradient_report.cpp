#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cotape/ops/gradient_check.hpp>

namespace cotape {
namespace {

std::string_view base_name(std::string_view file) { return file.substr(file.find_last_of('/') + 1); }

std::string place_of(const GradientFinding& finding) {
    return finding.element < 0 ? "a direction" : std::to_string(finding.element);
}

void print_orders(std::string& text, const GradientCheckReport& report) {
    if (report.orders.empty()) return;
    text += "\n  order  comparisons  exact  worst error / bound  resolution  chance to miss 1 %";
    for (const GradientOrderSummary& order : report.orders) {
        text += fmt::format("\n  {:5}  {:11}  {:5}", order.order, order.comparisons, order.exact);
        text += order.resolution > 0 ? fmt::format("  {:19.2g}  {:10.1g}  {:18.1g}", order.worst_error,
                                                   order.resolution, order.chance_of_missing)
                                     : fmt::format("  {:>19}  {:>10}  {:>18}", "-", "-", "-"); // nothing passed
    }
}

void print_findings(std::string& text, const GradientCheckReport& report) {
    constexpr std::size_t shown = 8;
    if (report.findings.empty()) return;
    std::size_t widest = 5;
    for (const GradientFinding& finding : report.findings) widest = std::max(widest, finding.input_name.size());
    text += fmt::format("\n  {:20}  {:>5}  {:>{}}  {:>11}  {:>14}  {:>14}  {:>8}  {:>8}", "wrong", "order", "input",
                        widest, "element", "got", "expected", "error", "bound");
    for (std::size_t i = 0; i < report.findings.size() && i < shown; ++i) {
        const GradientFinding& finding = report.findings[i];
        std::string input = finding.input_name.empty() ? std::to_string(finding.input) : finding.input_name;
        text += fmt::format("\n  {:20}  {:5}  {:>{}}  {:>11}  {:14.8g}  {:14.8g}  {:8.2g}  {:8.2g}",
                            to_string(finding.mode), finding.order, input, widest, place_of(finding), finding.got,
                            finding.expected, finding.error, finding.bound);
    }
    if (report.findings.size() > shown) text += fmt::format("\n  and {} more", report.findings.size() - shown);
}

void print_rules(std::string& text, const GradientCheckReport& report) {
    for (const WrongRule& rule : report.wrong_rules) {
        text += fmt::format("\n  {} at {}:{}{}", rule.op, base_name(rule.file), rule.line,
                            rule.module.empty() ? "" : " in " + rule.module);
        const GradientFinding& worst = rule.worst;
        if (rule.op == "constant") {
            text += ": " + rule.resembles;
            continue;
        }
        text += fmt::format(": its derivative for input {} is wrong", worst.input);
        if (worst.order > 1) text += fmt::format(" at order {}", worst.order);
        text += fmt::format("\n    worst at {}{}: got {:.8g}, expected {:.8g} within {:.2g}, ratio {:.6g}",
                            worst.element < 0 ? "" : "element ", place_of(worst), worst.got, worst.expected,
                            worst.bound, worst.got / worst.expected);
        if (!rule.resembles.empty()) text += "\n    looks like " + rule.resembles;
    }
}

nlohmann::ordered_json json_of(const GradientFinding& finding) {
    return {{"mode", to_string(finding.mode)}, {"order", finding.order}, {"input", finding.input},
            {"element", finding.element},      {"got", finding.got},     {"expected", finding.expected},
            {"error", finding.error},          {"bound", finding.bound}, {"input_name", finding.input_name}};
}

} // namespace

const char* to_string(Verdict verdict) {
    switch (verdict) {
    case Verdict::pass: return "pass";
    case Verdict::fail: return "fail";
    case Verdict::inconclusive: break;
    }
    return "inconclusive";
}

const char* to_string(Obstacle obstacle) {
    switch (obstacle) {
    case Obstacle::none: break;
    case Obstacle::input_type: return "input type";
    case Obstacle::not_finite: return "not finite";
    case Obstacle::outside_domain: return "outside domain";
    case Obstacle::not_deterministic: return "not deterministic";
    case Obstacle::annihilated: return "annihilated";
    case Obstacle::kink: return "kink";
    case Obstacle::rounding: return "rounding";
    case Obstacle::out_of_range: return "out of range";
    }
    return "none";
}

const char* to_string(DerivativeMode mode) {
    switch (mode) {
    case DerivativeMode::reverse: return "reverse";
    case DerivativeMode::forward: return "forward";
    case DerivativeMode::reverse_over_forward: return "reverse over forward";
    case DerivativeMode::forward_over_reverse: break;
    }
    return "forward over reverse";
}

std::string to_string(const GradientCheckReport& report) {
    std::string text = fmt::format("gradient check: {}", to_string(report.verdict));
    if (!report.reason.empty()) text += fmt::format(": {}", report.reason);
    print_orders(text, report);
    print_findings(text, report);
    print_rules(text, report);
    return text;
}

std::string to_json(const GradientCheckReport& report) {
    nlohmann::ordered_json json{{"verdict", to_string(report.verdict)},
                                {"reason", report.reason},
                                {"obstacle", to_string(report.obstacle)},
                                {"orders", nlohmann::ordered_json::array()},
                                {"findings", nlohmann::ordered_json::array()},
                                {"wrong_rules", nlohmann::ordered_json::array()}};
    for (const GradientOrderSummary& order : report.orders)
        json["orders"].push_back({{"order", order.order},
                                  {"comparisons", order.comparisons},
                                  {"exact", order.exact},
                                  {"worst_error", order.worst_error},
                                  {"resolution", order.resolution},
                                  {"chance_of_missing", order.chance_of_missing}});
    for (const GradientFinding& finding : report.findings) json["findings"].push_back(json_of(finding));
    for (const WrongRule& rule : report.wrong_rules)
        json["wrong_rules"].push_back({{"op", rule.op},
                                       {"file", rule.file},
                                       {"line", rule.line},
                                       {"module", rule.module},
                                       {"worst", json_of(rule.worst)},
                                       {"resembles", rule.resembles}});
    return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

} // namespace cotape
