//! The silence of a stream of events: how long its backend may keep it, and what its client hears meanwhile.

use std::time::Duration;

use crate::codec::json_array::JsonArray;
use crate::config::{Config, Route};
use crate::endpoint::ClientApi;
use crate::error::{Error, Kind};

/// How long the headers of an answer wait for its first event where nobody else could answer, in milliseconds. Within
/// that time an error that a backend sends as its first event is told by the answer's status; most come at once.
pub(crate) const HOLD_MS: u64 = 1_000;

/// How long they may wait where another backend could answer, when Envoy's own patience with the attempt is not known,
/// in milliseconds.
const HOLD_FOR_ANOTHER_MS: u64 = 90_000;

/// How long a backend may keep its connection open after its last word before the client is let go, in milliseconds.
const KEPT_OPEN_MS: u64 = 1_000;

/// When a stream is looked at again that may be silent for ever, in milliseconds.
const FAR_AWAY_MS: u64 = 24 * 3_600_000;

/// A stream on its way to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulse {
    /// When the backend's last byte came, in milliseconds since 1970.
    pub heard_ms: u64,
    /// When the client's last byte went, likewise.
    pub told_ms: u64,
    /// When the answer had said its last word, in the words of its API.
    pub over_ms: Option<u64>,
    /// The number of the next event, in a stream that counts them.
    pub number: Option<u64>,
}

/// What is due in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beat {
    /// Nothing any more: it has ended.
    Over,
    /// Nothing for so many milliseconds.
    Wait(u64),
    /// The client is to get this, between two events.
    Write(Vec<u8>),
    /// The client is to get this, and the stream ends with it. Nothing at all: all was said.
    End(Vec<u8>),
}

impl Beat {
    /// The same for a client that has the stream as an array.
    #[must_use]
    pub fn framed(self, array: Option<&mut JsonArray>) -> Beat {
        match (self, array) {
            (Beat::End(events), Some(array)) => {
                let mut end = Vec::new();
                array.events(&events, &mut end);
                array.close(&mut end);
                Beat::End(end)
            }
            (beat, _) => beat,
        }
    }
}

impl Pulse {
    /// The headers of a stream are gone.
    #[must_use]
    pub fn new(now_ms: u64) -> Pulse {
        Pulse { heard_ms: now_ms, told_ms: now_ms, over_ms: None, number: None }
    }

    /// What is due at `now_ms`; the client is taken to get it.
    pub fn beat(&mut self, config: &Config, route: Option<&Route>, api: ClientApi, now_ms: u64) -> Beat {
        if let Some(over_ms) = self.over_ms {
            let kept = now_ms.saturating_sub(over_ms);
            return if kept >= KEPT_OPEN_MS {
                Beat::End(Vec::new())
            } else {
                Beat::Wait(KEPT_OPEN_MS - kept)
            };
        }
        let silence = now_ms.saturating_sub(self.heard_ms);
        let allowed = route.map_or(config.silence_ms, |route| route.allowed_silence_ms(config));
        if allowed > 0 && silence >= allowed {
            let said = Duration::from_millis(silence);
            let error =
                Error::new(Kind::Timeout, format!("the backend sent nothing for {} s", said.as_secs()));
            return Beat::End(api.api().next_error_event(&error, self.number));
        }
        let quiet = now_ms.saturating_sub(self.told_ms);
        if config.keepalive_ms > 0 && quiet >= config.keepalive_ms {
            self.told_ms = now_ms;
            return Beat::Write(api.api().sign_of_life().to_vec());
        }
        let until = |limit: u64, passed: u64| (limit > 0).then(|| limit.saturating_sub(passed));
        let next = until(allowed, silence).into_iter().chain(until(config.keepalive_ms, quiet)).min();
        Beat::Wait(next.unwrap_or(FAR_AWAY_MS))
    }

    /// The end of the stream, where the gateway stops before its backend does.
    #[must_use]
    pub fn end(self, api: ClientApi) -> Beat {
        if self.over_ms.is_some() {
            return Beat::End(Vec::new());
        }
        let error = Error::new(Kind::Unavailable, "the gateway is stopping, and ends this answer; try again");
        Beat::End(api.api().next_error_event(&error, self.number))
    }
}

impl Route {
    /// How long a stream of this route may be silent, in milliseconds; 0 for ever.
    fn allowed_silence_ms(&self, config: &Config) -> u64 {
        match self.silence_ms {
            Some(silence) => silence,
            None if config.silence_ms == 0 => 0,
            None => config.silence_ms.max(self.attempt_ms.unwrap_or_default()),
        }
    }

    /// How long after its start an attempt may hold back the headers of an answer that lives, while another could
    /// follow. Envoy does not see what is held and would give the attempt up, so this ends before Envoy's patience
    /// does.
    pub(crate) fn longest_hold_ms(&self) -> u64 {
        self.attempt_limit_ms().map_or(HOLD_FOR_ANOTHER_MS, |limit| limit.saturating_sub(limit / 4))
    }

    /// How long Envoy waits for a byte of an attempt's answer, in milliseconds.
    pub(crate) fn attempt_limit_ms(&self) -> Option<u64> {
        let limits = [self.silence_ms, self.attempt_ms].into_iter().flatten();
        limits.filter(|limit| *limit > 0).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(pulse: &mut Pulse, config: &Config, route: &Route, now_ms: u64) -> Beat {
        pulse.beat(config, Some(route), ClientApi::OpenAi, now_ms)
    }

    #[test]
    fn the_client_hears_something_each_time_it_was_quiet_for_long() {
        let (config, route) = (Config::default(), Route::default());
        let mut pulse = Pulse::new(1_000);
        assert_eq!(beat(&mut pulse, &config, &route, 1_000), Beat::Wait(15_000));
        assert_eq!(beat(&mut pulse, &config, &route, 15_999), Beat::Wait(1));
        assert_eq!(beat(&mut pulse, &config, &route, 16_000), Beat::Write(b": keepalive\n\n".to_vec()));
        assert_eq!(beat(&mut pulse, &config, &route, 16_000), Beat::Wait(15_000));
        let ping = pulse.beat(&config, None, ClientApi::Anthropic, 31_000);
        assert_eq!(ping, Beat::Write(b"event: ping\ndata: {\"type\": \"ping\"}\n\n".to_vec()));
    }

    #[test]
    fn what_the_gateway_says_does_not_count_for_the_backend() {
        let config = Config::default();
        let route = Route { silence_ms: Some(20_000), ..Route::default() };
        let mut pulse = Pulse::new(0);
        assert_eq!(beat(&mut pulse, &config, &route, 15_000), Beat::Write(b": keepalive\n\n".to_vec()));
        assert_eq!(beat(&mut pulse, &config, &route, 15_000), Beat::Wait(5_000));
        let Beat::End(event) = beat(&mut pulse, &config, &route, 20_000) else { panic!("it goes on") };
        let event = String::from_utf8(event).unwrap();
        assert!(event.starts_with("data: {") && event.contains("sent nothing for 20 s"), "{event}");
        pulse.heard_ms = 19_000;
        assert_eq!(beat(&mut pulse, &config, &route, 20_000), Beat::Wait(10_000));
    }

    #[test]
    fn the_client_is_let_go_where_its_backend_does_not() {
        let (config, route) = (Config::default(), Route::default());
        let mut pulse = Pulse { over_ms: Some(5_000), ..Pulse::new(5_000) };
        assert_eq!(beat(&mut pulse, &config, &route, 5_200), Beat::Wait(800));
        assert_eq!(beat(&mut pulse, &config, &route, 6_000), Beat::End(Vec::new()));
    }

    #[test]
    fn how_long_silence_may_be() {
        let route = |silence, attempt| Route { silence_ms: silence, attempt_ms: attempt, ..Route::default() };
        let of = |route: Route, default| {
            route.allowed_silence_ms(&Config { silence_ms: default, ..Config::default() })
        };
        assert_eq!(of(route(Some(3_000), Some(2_000)), 300_000), 3_000);
        assert_eq!(of(route(None, Some(120_000)), 300_000), 300_000);
        assert_eq!(of(route(None, Some(900_000)), 300_000), 900_000, "as Envoy's route allows");
        assert_eq!(of(route(None, Some(900_000)), 0), 0);
    }

    #[test]
    fn neither_is_for_ever() {
        let config = Config { silence_ms: 0, keepalive_ms: 0, ..Config::default() };
        let beat = beat(&mut Pulse::new(0), &config, &Route::default(), 9_000_000);
        assert_eq!(beat, Beat::Wait(FAR_AWAY_MS), "it is still there to be ended with the gateway");
    }

    #[test]
    fn a_gateway_that_stops_says_so_unless_all_was_said() {
        for (api, begin) in [(ClientApi::OpenAi, "data: {"), (ClientApi::Anthropic, "event: error\n")] {
            let Beat::End(event) = Pulse::new(0).end(api) else { panic!("it goes on") };
            let event = String::from_utf8(event).unwrap();
            assert!(event.starts_with(begin) && event.contains("stopping"), "{event}");
            let over = Pulse { over_ms: Some(1), ..Pulse::new(0) };
            assert_eq!(over.end(api), Beat::End(Vec::new()));
        }
    }

    #[test]
    fn an_array_ends_as_one() {
        let end = |mut array: JsonArray| {
            let Beat::End(end) = Pulse::new(0).end(ClientApi::Gemini).framed(Some(&mut array)) else {
                panic!()
            };
            String::from_utf8(end).unwrap()
        };
        let error = end(JsonArray::default());
        assert!(error.starts_with("[{\"error\":") && error.ends_with("}]"), "{error}");
        let mut begun = JsonArray::default();
        begun.events(b"data: {}\n\n", &mut Vec::new());
        assert!(end(begun).starts_with(",\r\n{"));
        let mut closed = JsonArray::default();
        closed.close(&mut Vec::new());
        assert_eq!(end(closed), "");
        assert_eq!(Beat::Wait(3).framed(Some(&mut JsonArray::default())), Beat::Wait(3));
    }

    #[test]
    fn a_hold_ends_before_envoy_gives_the_attempt_up() {
        let hold = |silence, attempt| {
            Route { silence_ms: silence, attempt_ms: attempt, ..Route::default() }.longest_hold_ms()
        };
        assert_eq!(hold(Some(4_000), Some(120_000)), 3_000);
        assert_eq!(hold(None, Some(2_000)), 1_500);
        assert_eq!(hold(None, Some(0)), HOLD_FOR_ANOTHER_MS);
    }
}
