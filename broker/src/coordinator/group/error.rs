//! The error codes that the group coordinator answers with.

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// A Kafka error code that a group answer may carry.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $($(#[$doc])* $name,)* }

        impl ErrorCode {
            /// The number on the wire.
            pub fn code(self) -> i16 {
                match self { $(Self::$name => $code,)* }
            }
        }
    };
}

error_codes! {
    /// Something the broker did not foresee.
    UnknownServerError = -1,
    /// No error.
    None = 0,
    /// The metadata of a committed offset is longer than allowed.
    OffsetMetadataTooLarge = 12,
    /// The coordinator cannot take the call at the moment; clients try again.
    CoordinatorLoadInProgress = 14,
    /// The generation is not the group's current one.
    IllegalGeneration = 22,
    /// Protocol type or protocols do not fit those of the group.
    InconsistentGroupProtocol = 23,
    /// The group id may not be used.
    InvalidGroupId = 24,
    /// The group does not know this member.
    UnknownMemberId = 25,
    /// The session timeout is out of the allowed range.
    InvalidSessionTimeout = 26,
    /// The group is rebalancing; join again.
    RebalanceInProgress = 27,
    /// The request contradicts itself or a limit of the protocol.
    InvalidRequest = 42,
    /// The group still has members.
    NonEmptyGroup = 68,
    /// There is no such group.
    GroupIdNotFound = 69,
    /// Join again with the member id of this answer.
    MemberIdRequired = 79,
    /// The group has as many members as it may have.
    GroupMaxSizeReached = 81,
    /// Another member took over this group instance id.
    FencedInstanceId = 82,
    /// The group's members consume this topic.
    GroupSubscribedToTopic = 86,
}
