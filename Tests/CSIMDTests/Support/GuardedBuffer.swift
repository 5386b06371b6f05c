import Glibc

/// Memory whose last element touches an inaccessible page, with another such page in front: a read or write past either end
/// ends the process. Elements start as `fill`. The memory is given back by `release()`, best in a `defer` (a `deinit` could run
/// while C still holds the pointer).
struct GuardedBuffer<Element: BitwiseCopyable> {
    /// The elements; the end of the buffer is the page boundary.
    let elements: UnsafeMutableBufferPointer<Element>
    private let mapping: UnsafeMutableRawPointer
    private let mappingBytes: Int

    init(count: Int, fill: Element) {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let bytes = count * MemoryLayout<Element>.stride
        let inner = (bytes + page - 1) / page * page
        mappingBytes = inner + 2 * page
        mapping = mmap(nil, mappingBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)!
        precondition(mapping != MAP_FAILED, "mmap of \(mappingBytes) bytes failed")
        if inner > 0 {
            precondition(mprotect(mapping + page, inner, PROT_READ | PROT_WRITE) == 0, "mprotect failed")
        }
        let start = (mapping + page + inner - bytes).bindMemory(to: Element.self, capacity: count)
        elements = UnsafeMutableBufferPointer(start: start, count: count)
        elements.initialize(repeating: fill)
    }

    init(_ values: [Element], fill: Element) {
        self.init(count: values.count, fill: fill)
        for (index, value) in values.enumerated() { elements[index] = value }
    }

    func release() { munmap(mapping, mappingBytes) }

    var pointer: UnsafeMutablePointer<Element> { elements.baseAddress! }
    var array: [Element] { Array(elements) }
}
