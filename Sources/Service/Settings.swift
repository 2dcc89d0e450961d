public import Views

/// What became of a change of the cluster's settings.
public enum SettingsOutcome: Sendable, Hashable {
    /// Every node goes by these settings, or can start and accept nothing before it does.
    case done(ClusterSettings)
    /// It cannot be done: 409.
    case refused(SettingsRefusal)
    /// Nothing was done, and why: 503.
    case unavailable(String)
    /// It was not done yet, or not everywhere, and why: 503. It may still be.
    case unconfirmed(String)
}
