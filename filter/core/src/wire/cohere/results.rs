//! Where the results of a conversation's calls are: Cohere wants those of a message's calls directly behind it
//! ([`Rule::ResultMissing`](super::rules::Rule::ResultMissing)), and agents leave other histories behind.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::chat::{Content, Message, Part, Role};

/// A result by its place: its message, and its part in it.
type Place = (usize, usize);

/// The results that no call has taken yet.
pub(super) struct Results<'a> {
    conversation: &'a [Message],
    /// By the call that they answer, in their order. Some providers count their calls anew in each answer.
    waiting: HashMap<&'a str, VecDeque<Place>>,
    taken: HashSet<Place>,
    /// For each message the first one from it on that is more than results.
    next_other: Vec<usize>,
}

/// The result of a call.
pub(super) struct Found<'a> {
    pub(super) message: &'a Message,
    pub(super) part: &'a Part,
    /// Something else stands between the call and it.
    pub(super) is_apart: bool,
}

impl<'a> Results<'a> {
    pub(super) fn of(conversation: &'a [Message]) -> Self {
        let mut waiting: HashMap<&'a str, VecDeque<Place>> = HashMap::new();
        for (index, message) in
            conversation.iter().enumerate().filter(|(_, message)| message.role == Role::User)
        {
            for (position, part) in message.content.iter().enumerate() {
                if let Content::ToolResult { call_id, .. } = &part.content {
                    waiting.entry(call_id).or_default().push_back((index, position));
                }
            }
        }
        let is_result = |part: &Part| matches!(part.content, Content::ToolResult { .. });
        let mut next = conversation.len();
        let mut next_other: Vec<usize> = Vec::with_capacity(conversation.len());
        for (index, message) in conversation.iter().enumerate().rev() {
            if message.role != Role::User || !message.content.iter().all(is_result) {
                next = index;
            }
            next_other.push(next);
        }
        next_other.reverse();
        Self { conversation, waiting, taken: HashSet::new(), next_other }
    }

    /// Takes the result of a call that the message `index` makes.
    pub(super) fn take(&mut self, index: usize, call_id: &str) -> Option<Found<'a>> {
        let waiting = self.waiting.get_mut(call_id)?;
        while waiting.front().is_some_and(|(message, _)| *message <= index) {
            waiting.pop_front();
        }
        let place = waiting.pop_front()?;
        self.taken.insert(place);
        let message = self.conversation.get(place.0)?;
        let next = self.next_other.get(index.saturating_add(1)).copied();
        let is_apart = next.is_some_and(|next| next < place.0);
        Some(Found { message, part: message.content.get(place.1)?, is_apart })
    }

    /// Whether a call has taken the result.
    pub(super) fn is_taken(&self, place: Place) -> bool {
        self.taken.contains(&place)
    }

    /// Whether nothing follows the message.
    pub(super) fn is_last(&self, index: usize) -> bool {
        index.saturating_add(1) >= self.conversation.len()
    }
}
