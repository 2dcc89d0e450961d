/// The members of a submitted task.
enum SubmissionField: CaseIterable {
    case taskType, payload, priority, queue, maxRetries, retry, timeout, delay, runAt, expiresIn, expiresAt
    case delivery, resultTTL, metadata, idempotencyWindow
    case idempotencyKey, orderingKey, fairnessKey, dependsOn, onDependencyFailure, callbackURL

    /// The names that clients may use, the canonical one first.
    var names: [String] {
        switch self {
        case .taskType: ["task_type", "name", "type"]
        case .payload: ["payload", "data"]
        case .priority: ["priority"]
        case .queue: ["queue"]
        case .maxRetries: ["max_retries"]
        case .retry: ["retry"]
        case .timeout: ["timeout"]
        case .delay: ["delay"]
        case .runAt: ["run_at"]
        case .expiresIn: ["expires_in"]
        case .expiresAt: ["expires_at"]
        case .delivery: ["delivery"]
        case .resultTTL: ["result_ttl"]
        case .metadata: ["metadata"]
        case .idempotencyKey: ["idempotency_key"]
        case .idempotencyWindow: ["idempotency_window"]
        case .orderingKey: ["ordering_key"]
        case .fairnessKey: ["fairness_key"]
        case .dependsOn: ["depends_on"]
        case .onDependencyFailure: ["on_dependency_failure"]
        case .callbackURL: ["callback_url"]
        }
    }

    /// Whether the task of a schedule may have it.
    var isOfSchedules: Bool {
        switch self {
        case .taskType, .payload, .priority, .queue, .maxRetries, .retry, .timeout, .expiresIn, .delivery, .resultTTL,
            .metadata, .fairnessKey, .callbackURL:
            true
        case .delay, .runAt, .expiresAt, .dependsOn, .onDependencyFailure, .idempotencyKey, .idempotencyWindow,
            .orderingKey:
            false
        }
    }

    /// A switch, not a table made of `names`: it runs for every key of every task, and hashing costs more than comparing.
    init?(_ name: String) {
        switch name {
        case "task_type", "name", "type": self = .taskType
        case "payload", "data": self = .payload
        case "priority": self = .priority
        case "queue": self = .queue
        case "max_retries": self = .maxRetries
        case "retry": self = .retry
        case "timeout": self = .timeout
        case "delay": self = .delay
        case "run_at": self = .runAt
        case "expires_in": self = .expiresIn
        case "expires_at": self = .expiresAt
        case "delivery": self = .delivery
        case "result_ttl": self = .resultTTL
        case "metadata": self = .metadata
        case "idempotency_key": self = .idempotencyKey
        case "idempotency_window": self = .idempotencyWindow
        case "ordering_key": self = .orderingKey
        case "fairness_key": self = .fairnessKey
        case "depends_on": self = .dependsOn
        case "on_dependency_failure": self = .onDependencyFailure
        case "callback_url": self = .callbackURL
        default: return nil
        }
    }
}
