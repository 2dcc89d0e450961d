import Primitives

/// Bounds of the built-in handlers. Each has a test that meets it.
enum HandlerLimits {
    /// `sleep`, in seconds (a day).
    static let sleepSeconds: Double = 86_400
    /// `fail` with `times`.
    static let failures = 1000
    /// A file of run records; a run that would go beyond fails.
    static let recordFileBytes = 16 << 20

    /// Components of a path under the work folder.
    static let pathComponents = 16
    /// A file that is read as input.
    static let inputFileBytes = 32 << 20

    /// Jobs that wait for a thread of the offload pool, or have one.
    static let offloadedJobs = 256

    /// Recipients of one email, all kinds together.
    static let recipients = 100
    static let attachments = 32
    static let customHeaders = 32
    /// A subject, or the value of a custom header.
    static let headerBytes = 2000
    /// A display name, or the name of an attached file.
    static let displayNameBytes = 255
    /// A finished message: what most mail servers take at most is ten times that.
    static let messageBytes = 4 << 20

    /// Of an answer to a request: what comes after that is not read.
    static let responseBytes = 512 << 10
    /// Of the result that tells of it: an answer that takes more as a JSON text is told in base64.
    static let answeredBytes = 1 << 20
    /// Names and values of an answer's headers that are kept.
    static let responseHeaderBytes = 16 << 10
    /// Of an answer, in the error that tells of it.
    static let quotedResponseBytes = 200
    static let requestHeaders = 64
    static let expectedStatuses = 32
    static let redirects = 5
    /// That are in force at a time.
    static let webhookSecrets = 8

    static let dataRows = 500_000
    static let dataColumns = 1000
    /// Fields of all rows together: what bounds the memory of one task (24 bytes each and the longer texts).
    static let dataCells = 2_000_000
    static let dataGroups = 50_000
    /// Clauses of one list of a query: filters, aggregates, sort keys, columns to select or to group by.
    static let dataClauses = 100

    /// Pixels of an image as stored; more is refused before anything is decoded.
    static let inputPixels = 64_000_000
    /// Pixels of an image as written.
    static let outputPixels = 16_000_000
    /// Width or height of an image as written.
    static let outputSide = 8192
    /// An encoded image that may be returned inside a result: with base64's third more it stays below
    /// `Limits.resultBytes`.
    static let inlineImageBytes = 700 << 10
}
