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
    /// Empties the file. Throws cotape::DataError where it cannot be written.
    explicit Report(const std::string& metrics_file);

    void add(const Result& result);
    const std::vector<Result>& results() const { return results_; }

  private:
    std::string metrics_file_;
    std::ofstream metrics_;
    std::vector<Result> results_;
};

/// Throws cotape::DataError where `file` cannot be opened for writing; leaves what is there, or is not, as it is.
void require_writable(const std::string& file);

/// Throws DataError where anything printed to standard output is lost.
void require_output_written();

} // namespace comparison
