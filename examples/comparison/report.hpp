#pragma once

#include <fstream>
#include <string>
#include <vector>

#include "experiment.hpp"

namespace comparison {

/// The results as a table on standard output, and as JSON lines in a file where one is named: a row, or a line, as each
/// epoch is done. Below a net's last row stands its accuracy with the population's statistics, in JSON
/// `test_accuracy_population` of that line. JSON has no NaN: it stands as null there.
class Report {
  public:
    explicit Report(const std::string& metrics_file) : metrics_file_(metrics_file) {}

    /// The first result empties the file. Throws cotape::DataError where it cannot be written.
    void add(const Result& result);
    const std::vector<Result>& results() const { return results_; }

  private:
    std::string metrics_file_;
    std::ofstream metrics_;
    std::vector<Result> results_;
};

/// Throws cotape::DataError where one of `files` cannot be opened for writing, or two are the same file; passes over
/// empty names. Leaves what is there, or is not, as it is.
void require_writable(const std::vector<std::string>& files);

/// Throws DataError where anything printed to standard output is lost.
void require_output_written();

} // namespace comparison
