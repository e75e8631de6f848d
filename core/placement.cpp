#include <cotape/core/placement.hpp>

#include <algorithm>
#include <cstring>
#include <optional>

#include <cotape/core/strided_copy.hpp>
#include <cotape/core/tape.hpp>

namespace cotape {
namespace {

std::vector<View> views_of_parts(const Tape& tape, const Node& whole) {
    SmallVector<const Type*, 4> types;
    for (NodeId input : whole.inputs) types.push_back(&tape.node(input).type);
    return whole.op->placement({*whole.op, whole.attributes, types});
}

/// The rows of consecutive elements of which a tensor of `shape` consists, if they are equally far apart.
std::optional<Placement> in_rows(NodeId whole, const View& view, const Shape& shape) {
    std::int64_t width = 1, rows = 1, distance = 0;
    for (std::size_t axis = shape.size(); axis-- > 0;) {
        if (shape[axis] == 1) continue;
        if (rows == 1 && view.strides[axis] == width) {
            width *= shape[axis];
        } else {
            if (rows > 1 && view.strides[axis] != rows * distance) return std::nullopt;
            if (rows == 1) distance = view.strides[axis];
            rows *= shape[axis];
        }
    }
    return Placement{whole, view.offset, width, distance, rows == 1};
}

} // namespace

const Placement* placement_of(const Placements& placements, NodeId id, bool recycles) {
    if (placements.empty()) return nullptr;
    auto found = placements.find(id);
    return found == placements.end() || (found->second.is_overwritten && !recycles) ? nullptr : &found->second;
}

bool is_overwritten_in_place(const Placements& placements, NodeId id, bool recycles) {
    const Placement* placed = placement_of(placements, id, recycles);
    return placed && placed->is_overwritten;
}

View view_of(const Tape& tape, const Node& node) {
    const Type* types[] = {&tape.node(node.inputs[0]).type};
    return node.op->view({*node.op, node.attributes, types});
}

Placements find_placements(const Tape& tape, std::span<const NodeId> needed,
                           const std::function<std::span<const NodeId>(NodeId)>& inputs_of,
                           const std::function<Writing(NodeId)>& writing) {
    Placements placements;
    if (std::ranges::none_of(needed, [&](NodeId id) { return tape.node(id).op->placement != nullptr; }))
        return placements;
    std::unordered_map<NodeId, int> readers;
    for (NodeId id : needed)
        for (NodeId input : inputs_of(id)) ++readers[input];
    for (NodeId id : needed) {
        const Node& whole = tape.node(id);
        if (!whole.op->placement) continue;
        std::vector<View> views = views_of_parts(tape, whole);
        Placements parts;
        std::int64_t placed = 0;
        for (std::size_t i = 0; i < views.size(); ++i) {
            NodeId input = whole.inputs[i];
            const Shape& shape = tape.node(input).type.shape;
            Writing possible = writing(input);
            if (possible == Writing::elsewhere || placements.contains(input) || element_count(shape) == 0 ||
                std::ranges::count(whole.inputs, input) > 1)
                continue;
            std::optional<Placement> rows = in_rows(id, views[i], shape);
            if (!rows || (!rows->in_one_piece && (possible != Writing::in_rows || readers[input] > 1))) continue;
            parts.emplace(input, *rows);
            placed += element_count(shape);
        }
        // Otherwise memory for much that comes late would be held from the first part on.
        if (2 * placed >= element_count(whole.type.shape)) placements.merge(parts);
    }
    return placements;
}

void PlacedRows::put(const std::byte* elements, std::int64_t begin, std::int64_t count,
                     std::size_t element_size) const {
    std::int64_t row = begin / width, within = begin % width;
    for (std::int64_t length = 0; count > 0; count -= length, ++row, within = 0) {
        length = std::min(count, width - within);
        std::size_t bytes = static_cast<std::size_t>(length) * element_size;
        std::memcpy(first + static_cast<std::size_t>(row * distance + within) * element_size, elements, bytes);
        elements += bytes;
    }
}

Tensor& ResultMemory::memory_of_whole(NodeId id) {
    auto found = unfinished_.find(id);
    if (found == unfinished_.end()) found = unfinished_.emplace(id, of(id).freeze()).first;
    return found->second;
}

MutableTensor ResultMemory::of(NodeId id) {
    const Type& type = tape_.node(id).type;
    const Placement* placed = placement(id);
    if (!placed) return MutableTensor(type);
    return MutableTensor(type, memory_of_whole(placed->whole).part(placed->offset, type.shape));
}

PlacedRows ResultMemory::rows_of(NodeId id) {
    const Placement& placed = *placement(id);
    MutableTensor whole(tape_.node(placed.whole).type, memory_of_whole(placed.whole));
    std::size_t offset = static_cast<std::size_t>(placed.offset) * size_of(whole.type().dtype);
    return {whole.bytes() + offset, placed.width, placed.distance};
}

Tensor ResultMemory::complete(NodeId id) {
    const Node& node = tape_.node(id);
    MutableTensor whole(node.type, memory_of_whole(id));
    unfinished_.erase(id);
    std::vector<View> views = views_of_parts(tape_, node);
    for (std::size_t i = 0; i < views.size(); ++i) {
        const Placement* placed = placement(node.inputs[i]);
        if (!placed || placed->whole != id) copy_into(whole, tape_.computed(node.inputs[i]), views[i]);
    }
    return std::move(whole).freeze();
}

} // namespace cotape
