//! States and types of groups, by Kafka's names.

macro_rules! named {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$doc])* $variant,)*
            /// One that this client does not know.
            Other(String),
        }

        impl $name {
            /// Kafka's name.
            #[must_use]
            pub fn name(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other(name) => name,
                }
            }

            /// The one with this name, in upper or lower case.
            #[must_use]
            pub fn named(name: &str) -> Self {
                let known = [$(Self::$variant,)*];
                known
                    .into_iter()
                    .find(|one| one.name().eq_ignore_ascii_case(name))
                    .unwrap_or_else(|| Self::Other(name.to_owned()))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

named! {
    /// What a group is doing (Kafka: `GroupState`).
    GroupState {
        /// Waits for its members to join.
        PreparingRebalance = "PreparingRebalance",
        /// Waits for the leader's assignment.
        CompletingRebalance = "CompletingRebalance",
        /// All members have their partitions.
        Stable = "Stable",
        /// Is being removed.
        Dead = "Dead",
        /// Has no members.
        Empty = "Empty",
        /// The coordinator works the assignment out (KIP-848).
        Assigning = "Assigning",
        /// Members give up and take over partitions (KIP-848).
        Reconciling = "Reconciling",
        /// Of a streams group: topics are missing (KIP-1071).
        NotReady = "NotReady",
    }
}

named! {
    /// By which protocol the members of a group are coordinated (Kafka: `GroupType`).
    GroupType {
        /// Members join and the leader among them assigns.
        Classic = "classic",
        /// The coordinator assigns (KIP-848).
        Consumer = "consumer",
        /// Members share partitions (KIP-932).
        Share = "share",
        /// Members run a topology (KIP-1071).
        Streams = "streams",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive() {
        for name in ["Stable", "Empty", "NotReady", "FromTheFuture"] {
            assert_eq!(GroupState::named(name).name(), name);
        }
        assert_eq!(GroupState::named("stable"), GroupState::Stable);
        assert_eq!(GroupType::named("Classic"), GroupType::Classic);
        assert_eq!(GroupType::named("new"), GroupType::Other("new".to_owned()));
    }
}
