/// Nodes that wait to be walked, the latest recorded first: a binary heap by `sequence`. A node may stand in it several times.
struct NodeQueue {
    private var heap: [GradientNode] = []

    mutating func push(_ node: GradientNode) {
        var child = heap.count
        heap.append(node)
        while child > 0 {
            let parent = (child - 1) / 2
            if heap[parent].sequence >= node.sequence { break }
            heap.swapAt(parent, child)
            child = parent
        }
    }

    mutating func pop() -> GradientNode? {
        guard let last = heap.popLast() else { return nil }
        guard let top = heap.first else { return last }
        heap[0] = last
        var parent = 0
        while true {
            var child = 2 * parent + 1
            if child >= heap.count { break }
            if child + 1 < heap.count && heap[child + 1].sequence > heap[child].sequence { child += 1 }
            if heap[child].sequence <= last.sequence { break }
            heap.swapAt(parent, child)
            parent = child
        }
        return top
    }
}
