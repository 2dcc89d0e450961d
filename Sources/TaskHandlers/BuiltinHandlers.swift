public import TaskExecution

/// The task types that every node serves.
public enum BuiltinHandlers {
    public static func all() -> [any TaskHandler] {
        [
            EchoHandler(), NoopHandler(), SleepHandler(), FailHandler(), GatherHandler(), ForEachHandler(),
            EmailHandler(),
            EmailHandler(taskType: "send_email"), DataHandler(), ProcessHandler(), ImageHandler(),
        ]
    }
}
