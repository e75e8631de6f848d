#include "report.hpp"

#include <cstdio>
#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cotape/core/error.hpp>

namespace comparison {

void require_writable(const std::vector<std::string>& files) {
    namespace fs = std::filesystem;
    std::vector<fs::path> made;
    std::string refused;
    for (const std::string& file : files) {
        std::error_code error;
        if (file.empty()) continue;
        if (fs::is_fifo(file, error)) continue; // whoever reads it would take this for the end
        bool was_there = fs::exists(file, error);
        if (!std::ofstream(file, std::ios::app)) refused = fmt::format("write: cannot open {}", file);
        if (!was_there && fs::exists(file, error)) made.push_back(fs::canonical(file));
    }
    for (std::size_t i = 0; i < files.size() && refused.empty(); ++i)
        for (std::size_t j = 0; j < i; ++j)
            if (std::error_code error;
                fs::equivalent(files[i], files[j], error) && fs::is_regular_file(files[i], error))
                refused = fmt::format("write: {} and {} are the same file", files[j], files[i]);
    for (const fs::path& path : made) fs::remove(path);
    if (!refused.empty()) throw cotape::DataError(refused);
}

void require_output_written() {
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
        throw cotape::DataError("write: standard output could not be written in full");
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
    if (!metrics_.is_open()) metrics_.open(metrics_file_, std::ios::trunc);
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
