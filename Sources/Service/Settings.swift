public import Views

/// What became of a change of the cluster's settings.
public enum SettingsOutcome: Sendable, Hashable {
    /// The node that was asked goes by these settings; the others do as soon as they have its view.
    case done(ClusterSettings)
    /// It cannot be done: 409.
    case refused(SettingsRefusal)
    /// Nothing was done, and why: 503.
    case unavailable(String)
    /// It was not done yet, and why: 503. It may still be.
    case unconfirmed(String)
}
