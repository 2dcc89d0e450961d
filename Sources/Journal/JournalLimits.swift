public import Primitives

extension Limits {
    /// One record of the journal.
    public static let journalRecordBytes = 32 << 20
    /// Records that wait to be written or are being written, with what frames them. From a half of it on the journal is
    /// congested; beyond it records are refused.
    public static let journalBufferBytes = 128 << 20
    /// A group of more than one record.
    static let journalGroupBytes = 4 << 20
    /// The setting of a segment's size. The least is for tests; below 1 MiB the reserve for outcomes is small.
    public static let journalSegmentBytes = 1024...(1 << 30)
    /// A segment as read: one may exceed its size by one record that alone is larger.
    static let journalFileBytes = (1 << 30) + journalRecordBytes + 4096
    /// Completions that wait before the journal counts as congested.
    public static let journalWaiters = 65_536
    /// Calls of `perform` that wait; beyond that they fail with EBUSY.
    static let volumeCalls = 4096
    /// Bytes that are left to others when a file's room is reserved, or a sixteenth of that if it is less.
    static let volumeMargin = 4 << 20
    /// Files of a volume that are kept open.
    static let volumeDescriptors = 4
}
