import CLibuv

/// A call that the system refused: what was tried, and why it failed.
public struct SystemError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What was tried, with the name or the address that it concerned: `bind 127.0.0.1:80`.
    public let operation: String
    /// The positive `errno`, or the positive form of libuv's own codes.
    public let code: Int32
    /// What a user may do about it; empty if there is nothing to say beyond the code.
    public let advice: String

    public init(operation: String, code: Int32, advice: String = "") {
        self.operation = operation
        self.code = code
        self.advice = advice
    }

    /// The short name of the code: `EADDRINUSE`.
    public var name: String { Self.text(of: code, using: uv_err_name_r) }

    public var description: String {
        let reason = Self.text(of: code, using: uv_strerror_r)
        return "\(operation): \(reason) (\(name))" + (advice.isEmpty ? "" : "; \(advice)")
    }

    /// The variants of libuv that do not leak for codes that they do not know.
    private static func text(
        of code: Int32, using function: (Int32, UnsafeMutablePointer<CChar>?, Int) -> UnsafeMutablePointer<CChar>?
    ) -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { buffer in
            buffer.initialize(repeating: 0)
            _ = function(-code, buffer.baseAddress, buffer.count)
            let bytes = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            return String(decoding: bytes, as: UTF8.self)
        }
    }
}

/// Throws if a function of libuv returned a code below zero.
func check(_ result: Int32, _ operation: @autoclosure () -> String) throws(SystemError) {
    guard result < 0 else { return }
    throw SystemError(operation: operation(), code: -result)
}
