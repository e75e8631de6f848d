#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <random>
#include <utility>

#include <cotape/data/dataset.hpp>

namespace cotape::data {

/// What becomes of the rows that do not fill a batch: a short batch of their own, none, or a part of the batch before.
enum class LastBatch : std::uint8_t { keep, drop, merge };

struct BatchOptions {
    LastBatch last = LastBatch::keep;
    /// A new order in every pass.
    bool shuffle = true;
    /// Assemble the next batch on another thread while the present one is used.
    bool prefetch = true;
    /// The fewest rows a batch may have. With 2, data that leave a last batch of a single row, which batch
    /// normalisation cannot train on, are refused before the training instead of at the end of its first epoch.
    std::int64_t smallest = 1;
    /// Applied to every batch in turn, on the thread that assembles it; augments the data, for example.
    std::function<Dataset(const Dataset&)> transform = nullptr;
};

/// A dataset cut into batches, as an input range of Dataset. Every `begin()` starts a pass over all of the data, in a
/// new order where it shuffles; the batch an iterator points to is valid until the iterator moves on, while the batch's
/// tensors live as long as their copies. The generator must outlive the range, and only `begin()` draws from it.
/// A pass may end early. What assembling a batch throws, `begin()` or `++` throws, and the pass is over.
class Batches {
  public:
    class Iterator;

    /// `random` may be null where nothing is shuffled. Throws as batches() does.
    Batches(const Dataset& dataset, std::int64_t batch_size, std::mt19937* random, const BatchOptions& options);

    /// The number of batches.
    std::int64_t size() const { return count_; }
    Iterator begin() const;
    std::default_sentinel_t end() const { return {}; }

  private:
    class Pass;

    Dataset dataset_;
    std::int64_t rows_;
    std::int64_t batch_size_;
    std::mt19937* random_;
    BatchOptions options_;
    std::int64_t count_ = 0;
};

/// Copies of an iterator move on together.
class Batches::Iterator {
  public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = Dataset;
    using difference_type = std::ptrdiff_t;

    explicit Iterator(std::shared_ptr<Pass> pass) : pass_(std::move(pass)) {}

    const Dataset& operator*() const;
    const Dataset* operator->() const { return &**this; }
    Iterator& operator++();
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const;

  private:
    std::shared_ptr<Pass> pass_;
};

/// The batches of `dataset`, shuffled with `random`:
///
///     for (const auto& [images, labels] : batches(train, 128, random)) ...
///
/// The order depends on the generator's state alone, not on the standard library. Throws ValueError, before any work,
/// for an empty dataset, a batch size below 1, options that leave no batch, and a batch smaller than
/// `options.smallest`; ShapeError where inputs and labels differ in rows.
Batches batches(const Dataset& dataset, std::int64_t batch_size, std::mt19937& random,
                const BatchOptions& options = {});

/// The batches of `dataset` in its own order, whatever `options.shuffle`; for evaluation.
Batches batches(const Dataset& dataset, std::int64_t batch_size, const BatchOptions& options = {});

} // namespace cotape::data
