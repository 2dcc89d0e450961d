/// What Redis runs as one step.
enum RedisScript: CaseIterable, Sendable {
    /// KEYS: result, token. ARGV: token, document, milliseconds. Answers 1 written, 2 present, 0 superseded.
    case writeResult
    /// Deletes a key if it holds a value. KEYS: key. ARGV: value. Answers how many were deleted.
    case deleteIfEqual

    var source: String {
        switch self {
        case .writeResult:
            """
            local held = redis.call('GET', KEYS[2])
            if held and #held == #ARGV[1] and redis.call('EXISTS', KEYS[1]) == 1 then
              if held > ARGV[1] then return 0 end
              if held == ARGV[1] then return 2 end
            end
            redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
            redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[3])
            return 1
            """
        case .deleteIfEqual:
            """
            if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
            return 0
            """
        }
    }
}
