/// The Castagnoli checksum (RFC 3720, appendix B.4; polynomial 0x1EDC6F41, reflected), eight bytes at a time by tables
/// (Kounavis and Berry, 2005). It detects every burst of up to 32 bits, so every flip of one bit.
///
/// Processors have an instruction for it, which Swift reaches only with unsafe flags or another target in C.
package struct CRC32C {
    private var register: UInt32 = ~0

    package var value: UInt32 { ~register }

    package init() {}

    /// Eight tables of 256: entry `i` of table `k` is the register after byte `i` and `k` zero bytes.
    private static let tables: [UInt32] = {
        var tables = [UInt32](repeating: 0, count: 8 * 256)
        for index in 0..<256 {
            var entry = UInt32(index)
            for _ in 0..<8 { entry = entry >> 1 ^ (entry & 1 == 0 ? 0 : 0x82F6_3B78) }
            tables[index] = entry
        }
        for index in 256..<tables.count {
            let before = tables[index - 256]
            tables[index] = before >> 8 ^ tables[Int(before & 0xFF)]
        }
        return tables
    }()

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        register = Self.tables.withUnsafeBufferPointer { tables in
            var register = register
            var position = 0
            while position + 8 <= bytes.count {
                let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
                let low = UInt32(truncatingIfNeeded: word) ^ register
                let high = UInt32(truncatingIfNeeded: word >> 32)
                register =
                    tables[1792 + Int(low & 0xFF)] ^ tables[1536 + Int(low >> 8 & 0xFF)]
                    ^ tables[1280 + Int(low >> 16 & 0xFF)] ^ tables[1024 + Int(low >> 24)]
                    ^ tables[768 + Int(high & 0xFF)] ^ tables[512 + Int(high >> 8 & 0xFF)]
                    ^ tables[256 + Int(high >> 16 & 0xFF)] ^ tables[Int(high >> 24)]
                position += 8
            }
            while position < bytes.count {
                register = register >> 8 ^ tables[Int((register ^ UInt32(bytes[position])) & 0xFF)]
                position += 1
            }
            return register
        }
    }

    /// In network byte order.
    mutating func update(_ number: some FixedWidthInteger) {
        withUnsafeBytes(of: number.bigEndian) { update($0) }
    }

    package mutating func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { update($0) } }

    package static func of(_ bytes: [UInt8]) -> UInt32 { bytes.withUnsafeBytes { of($0) } }

    static func of(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        var checksum = CRC32C()
        checksum.update(bytes)
        return checksum.value
    }
}
