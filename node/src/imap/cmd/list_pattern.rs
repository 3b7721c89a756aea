//! LIST's patterns (RFC 9051 §6.3.9): `*` stands for any characters, `%` for any within one level.

use crate::limits;

/// A pattern in its canonical form: the reference, then the client's pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    text: String,
    /// Octets in it that are no wildcards: a name that matches has as many at least.
    literals: usize,
}

impl Pattern {
    /// `None` for what is longer than any name can match: it is ignored, as the RFC says of patterns
    /// that are not accepted.
    pub(super) fn new(reference: &str, pattern: &str) -> Option<Self> {
        let text = format!("{reference}{pattern}");
        (text.len() <= limits::IMAP_PATTERN_OCTETS).then(|| Self::of(&text))
    }

    /// Of wildcards that follow each other one is enough: any `*` among them takes what all of them do.
    fn of(text: &str) -> Self {
        let mut short = String::with_capacity(text.len());
        let mut literals = 0;
        for character in text.chars() {
            match (character, short.chars().next_back()) {
                ('*' | '%', Some('*')) | ('%', Some('%')) => {}
                ('*', Some('%')) => {
                    short.pop();
                    short.push('*');
                }
                _ => {
                    literals += if matches!(character, '*' | '%') { 0 } else { character.len_utf8() };
                    short.push(character);
                }
            }
        }
        Self { text: short, literals }
    }

    /// About how many steps [`Pattern::matches`] takes at most.
    pub(super) fn steps(&self, name: &str) -> usize {
        if self.literals > name.len() { 1 } else { self.text.len() * name.len() }
    }

    /// Whether the whole name matches.
    pub(super) fn matches(&self, name: &str) -> bool {
        if self.literals > name.len() {
            return false;
        }
        let (pattern, name) = (self.text.as_bytes(), name.as_bytes());
        // INBOX is named in any case (RFC 9051 §5.1), also where a wildcard follows: `inbox*`.
        let any_case = if name.split(|byte| *byte == b'/').next() == Some(b"INBOX") { 5 } else { 0 };
        // reached[i]: the pattern so far matches the first i octets of the name.
        let mut reached = vec![false; name.len() + 1];
        reached[0] = true;
        for wanted in pattern {
            match wanted {
                b'*' => {
                    let from = reached.iter().position(|is| *is).unwrap_or(reached.len());
                    reached[from..].fill(true);
                }
                b'%' => {
                    for at in 0..name.len() {
                        reached[at + 1] |= reached[at] && name[at] != b'/';
                    }
                }
                literal => {
                    for at in (0..name.len()).rev() {
                        let is_same =
                            name[at] == *literal || at < any_case && name[at].eq_ignore_ascii_case(literal);
                        reached[at + 1] = reached[at] && is_same;
                    }
                    reached[0] = false;
                }
            }
        }
        reached[name.len()]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::new("", pattern).expect("short").matches(name)
    }

    #[test]
    fn wildcards_that_follow_each_other_are_one() {
        for (pattern, short) in
            [("*%*%*%*", "*"), ("%%%", "%"), ("a%*b", "a*b"), ("a*%b%%", "a*b%"), ("%a*", "%a*")]
        {
            assert_eq!(Pattern::of(pattern).text, short, "{pattern}");
        }
        let name = "a".repeat(100);
        assert_eq!(Pattern::of(&"*%".repeat(2_000)).steps(&name), 100);
        assert_eq!(Pattern::of(&"*a".repeat(101)).steps(&name), 1, "more letters than the name has");
        assert!(Pattern::new("", &"a".repeat(limits::IMAP_PATTERN_OCTETS + 1)).is_none());
    }

    #[test]
    fn wildcards() {
        assert!(matches("*", "a/b") && matches("%", "a") && !matches("%", "a/b"));
        assert!(matches("a/%", "a/b") && !matches("a/%", "a/b/c") && matches("a/*", "a/b/c"));
        assert!(matches("inbox", "INBOX") && matches("Inbox/%", "INBOX/x") && !matches("sent", "Sent"));
        assert!(matches("inbox*", "INBOX/x") && matches("i%", "INBOX") && !matches("inboxes*", "INBOXES"));
        assert!(matches("%/%c", "a/bc") && !matches("", "a") && matches("a**b%", "a/x/b"));
        assert!(Pattern::new("a/", "%").expect("short").matches("a/b"));
        assert!(!matches(&"*a".repeat(100), &"a".repeat(99)));
    }

    fn naive(pattern: &[u8], name: &[u8]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some((wildcard @ (b'*' | b'%'), rest)) => (0..=name.len())
                .take_while(|taken| *wildcard == b'*' || !name[..*taken].contains(&b'/'))
                .any(|taken| naive(rest, &name[taken..])),
            Some((wanted, rest)) => {
                name.split_first().is_some_and(|(first, name)| first == wanted && naive(rest, name))
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab/*%]{0,7}", name in "[ab/]{0,9}") {
            prop_assert_eq!(matches(&pattern, &name), naive(pattern.as_bytes(), name.as_bytes()));
        }
    }
}
