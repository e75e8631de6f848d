#include "report.hpp"

#include <cstdio>
#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cotape/core/error.hpp>

namespace comparison {

void require_writable(const std::string& file) {
    bool was_there = std::filesystem::exists(std::filesystem::symlink_status(file));
    if (!std::ofstream(file, std::ios::app)) throw cotape::DataError(fmt::format("write: cannot open {}", file));
    if (!was_there) std::filesystem::remove(file);
}

void require_output_written() {
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
        throw cotape::DataError("write: standard output could not be written in full");
}

Report::Report(const std::string& metrics_file) : metrics_file_(metrics_file) {
    if (metrics_file.empty()) return;
    require_writable(metrics_file);
    metrics_.open(metrics_file, std::ios::trunc);
}

void Report::add(const Result& result) {
    if (results_.empty())
        fmt::print("\n{:<18} {:>5}  {:>10}  {:>21}  {:>23}  {:>7}\n", "net", "epoch", "train loss",
                   "accuracy, train mode", "accuracy, evaluation mode", "seconds");
    results_.push_back(result);
    std::string loss = result.train_loss < 1e5 ? fmt::format("{:.4f}", result.train_loss)
                                                : fmt::format("{:.4g}", result.train_loss);
    fmt::print("{:<18} {:>5}  {:>10}  {:>19.2f} %  {:>23.2f} %  {:>7.2f}\n", result.net, result.epoch, loss,
               100 * result.test_accuracy_train_mode, 100 * result.test_accuracy_eval_mode, result.seconds);
    if (result.test_accuracy_population)
        fmt::print("{:<18} {:>5}  {:>10}  {:>21}  {:>23.2f} %\n", "  its population", result.epoch, "", "",
                   100 * *result.test_accuracy_population);
    if (result.steps_to_target)
        fmt::print("{:<18} {:>5}  the training loss was at its target after {} steps\n", "", result.epoch,
                   *result.steps_to_target);
    if (result.missed_target)
        fmt::print("{:<18} {:>5}  the training loss was never at its target\n", "", result.epoch);
    std::fflush(stdout);
    if (metrics_file_.empty()) return;
    nlohmann::ordered_json line{{"net", result.net},
                                {"epoch", result.epoch},
                                {"train_loss", result.train_loss},
                                {"test_accuracy_train_mode", result.test_accuracy_train_mode},
                                {"test_accuracy_eval_mode", result.test_accuracy_eval_mode},
                                {"seconds", result.seconds}};
    if (result.test_accuracy_population) line["test_accuracy_population"] = *result.test_accuracy_population;
    if (result.steps_to_target) line["steps_to_target"] = *result.steps_to_target;
    if (result.missed_target) line["steps_to_target"] = nullptr;
    metrics_ << line.dump() << std::endl;
    if (!metrics_) throw cotape::DataError(fmt::format("write: {} could not be written in full", metrics_file_));
}

} // namespace comparison
