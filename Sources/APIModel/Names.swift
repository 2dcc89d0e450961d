public import Primitives
public import TaskLedger

// The words by which the API calls the cases of the ledger's enumerations.

extension RetryPolicy.Backoff {
    public var name: String {
        switch self {
        case .exponential: "exponential"
        case .linear: "linear"
        case .fixed: "fixed"
        case .none: "none"
        }
    }
}

extension TaskSpec.Delivery {
    public var name: String {
        switch self {
        case .atLeastOnce: "at_least_once"
        case .atMostOnce: "at_most_once"
        }
    }
}
