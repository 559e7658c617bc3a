//! The filters of a stream, one per role.

use weir_shell::{AdminFilter, BackendFilter, Beat, EdgeFilter, Flow, refusal};

use crate::abi::{Headers, HttpFilter, Next, Stream};
use crate::host::{Native, snapshot};
use crate::ticker;

impl From<Flow> for Next {
    fn from(flow: Flow) -> Next {
        match flow {
            Flow::Continue => Next::Continue,
            Flow::Hold => Next::Hold,
            Flow::Reply(reply) => Next::Reply(*reply),
        }
    }
}

impl From<Beat> for Next {
    fn from(beat: Beat) -> Next {
        match beat {
            Beat::Rest => Next::Hold,
            Beat::LetGo => Next::ContinueAnswer,
            Beat::Write(body) => Next::Send { body, end: false },
            Beat::End(body) => Next::Send { body, end: true },
            Beat::Reply(reply) => Flow::Reply(reply).into(),
        }
    }
}

/// In the listener's chain.
pub(crate) struct Edge(EdgeFilter);

impl Edge {
    pub(crate) fn new(filter: EdgeFilter) -> Edge {
        Edge(filter)
    }

    /// Does what the filter said of the answer.
    fn answer(&mut self, stream: &Stream<'_>, flow: Flow) -> Next {
        if let Some(due) = self.0.due() {
            ticker::beat(stream.scheduler(), due);
        }
        flow.into()
    }

    /// Does what the filter said of the request.
    fn request(&mut self, stream: &Stream<'_>, flow: Flow) -> Next {
        if let Some(due) = self.0.due() {
            ticker::beat(stream.scheduler(), due);
        }
        if self.0.waits() {
            ticker::wait(stream.scheduler());
        }
        flow.into()
    }
}

impl HttpFilter for Edge {
    fn request_headers(&mut self, stream: &mut Stream<'_>, end: bool) -> Next {
        let flow = self.0.request_headers(&mut Native(stream), end);
        self.request(stream, flow)
    }

    fn request_body(&mut self, stream: &mut Stream<'_>, end: bool) -> Next {
        let was_waiting = self.0.waits();
        let size = stream.request_body_size();
        let flow = self.0.request_body(&mut Native(stream), size, end);
        if was_waiting { flow.into() } else { self.request(stream, flow) }
    }

    fn request_trailers(&mut self, stream: &mut Stream<'_>) -> Next {
        let flow = self.0.request_trailers(&mut Native(stream));
        self.request(stream, flow)
    }

    fn response_headers(&mut self, stream: &mut Stream<'_>, end: bool) -> Next {
        let flow = self.0.response_headers(&mut Native(stream), end);
        self.answer(stream, flow)
    }

    fn response_body(&mut self, stream: &mut Stream<'_>, end: bool) -> Next {
        let size = stream.response_body_size();
        let flow = self.0.response_body(&mut Native(stream), size, end);
        self.answer(stream, flow)
    }

    fn response_trailers(&mut self, stream: &mut Stream<'_>) -> Next {
        self.0.response_trailers(&mut Native(stream)).into()
    }

    /// The credential that it waits for may have come, or the answer was silent for a while.
    fn scheduled(&mut self, stream: &mut Stream<'_>, event: u64) -> Next {
        if event == ticker::BEAT {
            let beat = self.0.beat(&mut Native(stream));
            if let Some(due) = self.0.due() {
                ticker::beat(stream.scheduler(), due);
            }
            return beat.into();
        }
        let flow = self.0.retry(&mut Native(stream));
        self.request(stream, flow)
    }

    fn stream_complete(&mut self, stream: &mut Stream<'_>) {
        self.0.close(&mut Native(stream));
    }
}

/// In a cluster's upstream chain.
pub(crate) struct Backend(pub(crate) BackendFilter);

impl Backend {
    /// Does what the filter said of the request.
    fn request(&self, stream: &Stream<'_>, flow: Flow) -> Next {
        if self.0.waits() {
            ticker::wait(stream.scheduler());
        }
        flow.into()
    }
}

impl HttpFilter for Backend {
    fn request_headers(&mut self, stream: &mut Stream<'_>, end: bool) -> Next {
        let flow = self.0.request_headers(&mut Native(stream), end);
        self.request(stream, flow)
    }

    fn request_body(&mut self, stream: &mut Stream<'_>, end: bool) -> Next {
        let was_waiting = self.0.waits();
        let flow = self.0.request_body(&mut Native(stream), end);
        if was_waiting { flow.into() } else { self.request(stream, flow) }
    }

    fn request_trailers(&mut self, stream: &mut Stream<'_>) -> Next {
        let was_waiting = self.0.waits();
        let flow = self.0.request_trailers(&mut Native(stream));
        if was_waiting { flow.into() } else { self.request(stream, flow) }
    }

    fn response_headers(&mut self, stream: &mut Stream<'_>, end: bool) -> Next {
        let flow = self.0.response_headers(&mut Native(stream), end);
        if let Some(due) = self.0.due() {
            ticker::beat(stream.scheduler(), due);
        }
        flow.into()
    }

    fn response_body(&mut self, stream: &mut Stream<'_>, end: bool) -> Next {
        let size = stream.response_body_size();
        self.0.response_body(&mut Native(stream), size, end).into()
    }

    fn response_trailers(&mut self, stream: &mut Stream<'_>) -> Next {
        self.0.response_trailers(&mut Native(stream)).into()
    }

    /// The credential that it waits for may have come, or the answer's headers were held for long enough.
    fn scheduled(&mut self, stream: &mut Stream<'_>, event: u64) -> Next {
        if event == ticker::BEAT {
            let beat = self.0.beat(&mut Native(stream));
            if let Some(due) = self.0.due() {
                ticker::beat(stream.scheduler(), due);
            }
            return beat.into();
        }
        let flow = self.0.retry(&mut Native(stream));
        self.request(stream, flow)
    }
}

/// In the place of the two, where there is no configuration.
pub(crate) struct Refusing;

impl HttpFilter for Refusing {
    fn request_headers(&mut self, stream: &mut Stream<'_>, _end: bool) -> Next {
        Next::Reply(refusal(&snapshot(stream, Headers::Request)))
    }
}

/// On the admin listener.
pub(crate) struct Admin(pub(crate) AdminFilter);

impl HttpFilter for Admin {
    fn request_headers(&mut self, stream: &mut Stream<'_>, _end: bool) -> Next {
        self.0.request_headers(&Native(stream)).into()
    }

    fn response_headers(&mut self, stream: &mut Stream<'_>, _end: bool) -> Next {
        self.0.response_headers(&mut Native(stream)).into()
    }

    fn response_body(&mut self, stream: &mut Stream<'_>, end: bool) -> Next {
        self.0.response_body(&mut Native(stream), end).into()
    }
}
