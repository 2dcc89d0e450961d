public import TaskExecution

/// The task types that every node serves.
public enum BuiltinHandlers {
    /// - Parameters:
    ///   - http: what those ask with that ask others; it is the caller's, and outlives them.
    ///   - secrets: what callbacks are signed with; nil: this node delivers none.
    public static func all(http: OutboundHTTP, secrets: WebhookSecrets? = nil) -> [any TaskHandler] {
        [
            EchoHandler(), NoopHandler(), SleepHandler(), FailHandler(), GatherHandler(), ForEachHandler(),
            EmailHandler(),
            EmailHandler(taskType: "send_email"), DataHandler(), ProcessHandler(), ImageHandler(),
            HTTPHandler(client: http), CallbackHandler(client: http, secrets: secrets),
        ]
    }
}
