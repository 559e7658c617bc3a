//! A WebSocket on its way: both directions pass as they come, and are read.
//!
//! What a client sends is held until each message is whole, since one may name a model: only that of the route gets
//! through, by the backend's name for it. What a server sends is never held, and its usage is counted.

use super::Attempt;
use super::answer::{Chunk, MAX_EVENT};
use super::secrets::Secrets;
use crate::codec::websocket::{self, Frames, MAX_CONTROL, Opcode, Piece, unmask};
use crate::endpoint::{ClientApi, Endpoint};
use crate::error::{Error, Kind, no_room};
use crate::exchange::{Answer, Progress};
use crate::wire::openai::sockets::Models;
use crate::wire::usage::{Said, SocketObserver};

/// What the gateway masks with what it says in a client's place. A mask keeps text that a client chooses from looking
/// like another protocol's (RFC 6455, 10.3); this text no client chooses.
const MASK: [u8; 4] = *b"weir";

/// Both directions of a WebSocket.
#[derive(Debug)]
pub(super) struct Socket {
    endpoint: Endpoint,
    models: Models,
    client: Client,
    server: Server,
}

/// What comes from the client.
#[derive(Debug, Default)]
struct Client {
    frames: Frames,
    /// The payload of a control frame that is not whole, as it is masked. It may stand between the frames of a message.
    control: Vec<u8>,
    /// A message that is not whole. It goes on in one frame, so nothing is held of how many it came in.
    message: Vec<u8>,
    /// By what it begins with.
    opcode: Option<Opcode>,
    /// The backend has been told that the client says nothing more.
    is_closed: bool,
}

/// What comes from the server.
#[derive(Debug, Default)]
struct Server {
    frames: Frames,
    /// A message that is not whole, unless it is too large.
    message: Vec<u8>,
    is_too_large: bool,
    /// Nothing can be read any more.
    is_unreadable: bool,
    observer: SocketObserver,
    /// An event that is to be told the client when no message is under way.
    news: Option<Vec<u8>>,
}

/// Why a client is not listened to any more.
struct Refusal {
    /// RFC 6455, 7.4.1.
    code: u16,
    error: Error,
}

impl Refusal {
    fn of_protocol(message: impl Into<String>) -> Refusal {
        Refusal { code: 1002, error: Error::bad_request(message) }
    }
}

impl Socket {
    pub(super) fn new(endpoint: Endpoint, models: Models) -> Socket {
        Socket { endpoint, models, client: Client::default(), server: Server::default() }
    }

    /// So many bytes are held of messages that are not whole.
    pub(super) fn held_bytes(&self) -> usize {
        let Client { control, message, .. } = &self.client;
        control.len().saturating_add(message.len()).saturating_add(self.server.message.len())
    }

    /// Does not read the message that comes from the server. It passes all the same.
    pub(super) fn forget_message(&mut self) {
        let Server { message, is_too_large, .. } = &mut self.server;
        // Where none is under way, the room is taken by what the client sends, and the next one is read.
        *is_too_large |= !std::mem::take(message).is_empty();
    }

    /// A chunk of what the client sends; a message may have at most `limit` bytes.
    fn clients(&mut self, chunk: &[u8], limit: usize) -> Chunk {
        let mut out = Vec::with_capacity(chunk.len());
        let mut rest = chunk;
        while !self.client.is_closed {
            let taken = match self.client.frames.next(&mut rest) {
                Ok(None) => break,
                Ok(Some(piece)) => self.take(piece, limit, &mut out),
                Err(malformed) => Err(Refusal::of_protocol(malformed.to_string())),
            };
            if let Err(refusal) = taken {
                self.refuse(&refusal, &mut out);
            }
        }
        if out == chunk { Chunk::Pass } else { Chunk::Replace(out) }
    }

    fn take(&mut self, piece: Piece<'_>, limit: usize, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let head = piece.head;
        if head.mask.is_none() {
            return Err(Refusal::of_protocol("a client's frame has no mask"));
        }
        let client = &mut self.client;
        if head.opcode.is_control() {
            client.control.extend_from_slice(piece.payload);
            if piece.ends() {
                head.write(out);
                out.append(&mut client.control);
                if head.opcode == Opcode::Close {
                    *client = Client { is_closed: true, ..Client::default() };
                }
            }
            return Ok(());
        }
        let opcode = *client.opcode.get_or_insert(head.opcode);
        let missing = head.length.saturating_sub(piece.at);
        if (client.message.len() as u64).saturating_add(missing) > limit as u64 {
            let message = format!("the message is over the limit of {limit} bytes");
            return Err(Refusal { code: 1009, error: Error::new(Kind::TooLarge, message) });
        }
        unmask(head.mask, piece.at, piece.payload, &mut client.message);
        if !piece.ends() || !head.is_final {
            return Ok(());
        }
        let renamed = self.models.renamed(self.endpoint, &client.message);
        let renamed = renamed.map_err(|error| Refusal { code: 1008, error })?;
        websocket::write(opcode, head.mask, renamed.as_ref().unwrap_or(&client.message), out);
        client.opcode = None;
        client.message.clear();
        // Few are as large as the largest.
        client.message.shrink_to(IDLE);
        Ok(())
    }

    /// There is no room for what is held: see [`Attempt::end_client_for_room`].
    fn end_for_room(&mut self, step: Chunk) -> Chunk {
        if self.client.is_closed {
            return step;
        }
        let mut out = if let Chunk::Replace(out) = step { out } else { return step };
        self.refuse(&Refusal { code: 1013, error: no_room() }, &mut out);
        Chunk::Replace(out)
    }

    /// Closes the socket in the client's place, and has the client told why. Only whole frames go to the backend, of
    /// whole messages, so that it is between two of them.
    fn refuse(&mut self, refusal: &Refusal, out: &mut Vec<u8>) {
        self.client = Client { is_closed: true, ..Client::default() };
        let mut reason = refusal.code.to_be_bytes().to_vec();
        let room = MAX_CONTROL.saturating_sub(reason.len());
        let message = refusal.error.message();
        reason.extend_from_slice(
            message.get(..message.floor_char_boundary(room)).unwrap_or_default().as_bytes(),
        );
        websocket::write(Opcode::Close, Some(MASK), &reason, out);
        let mut news = Vec::new();
        websocket::write(Opcode::Text, None, &refusal.error.body(ClientApi::OpenAi), &mut news);
        self.server.news = Some(news);
    }

    /// A chunk of what the server sends. No error in it shows `secrets`, if it is a frame of its own whose payload has
    /// not come in pieces.
    pub(super) fn servers(
        &mut self,
        chunk: &[u8],
        secrets: &Secrets,
        progress: &mut Progress,
        now_ms: u64,
    ) -> Chunk {
        let server = &mut self.server;
        let mut blanked: Option<Vec<u8>> = None;
        let mut news = None;
        let mut rest = chunk;
        while !server.is_unreadable {
            let is_between = server.frames.is_between_frames() && !server.frames.is_in_message();
            if is_between
                && !rest.is_empty()
                && let Some(event) = server.news.take()
            {
                news = Some((chunk.len().saturating_sub(rest.len()), event));
            }
            match server.frames.next(&mut rest) {
                Ok(None) => break,
                Ok(Some(piece)) => {
                    let said = server.take(piece);
                    if said.has_content {
                        progress.first_content_ms.get_or_insert(now_ms);
                    }
                    if said.may_be_error
                        && piece.is_message()
                        && let Some(mut payload) = secrets.blanked(piece.payload)
                    {
                        // What is blanked is shorter, and the head may have gone: spaces behind JSON mean nothing.
                        payload.resize(piece.payload.len(), b' ');
                        let end = chunk.len().saturating_sub(rest.len());
                        let place = end.saturating_sub(payload.len())..end;
                        if let Some(place) = blanked.get_or_insert_with(|| chunk.to_vec()).get_mut(place) {
                            place.copy_from_slice(&payload);
                        }
                    }
                }
                Err(_) => {
                    server.is_unreadable = true;
                    server.observer.miss();
                }
            }
        }
        progress.usage = server.observer.usage();
        if let Some(model) = server.observer.model().filter(|model| *model != progress.response_model) {
            model.clone_into(&mut progress.response_model);
        }
        progress.answer = if server.observer.is_complete() { Answer::Complete } else { Answer::Begun };
        let passed = blanked.as_deref().unwrap_or(chunk);
        match news.map(|(at, event)| (passed.split_at_checked(at), event)) {
            Some((Some((before, behind)), event)) => Chunk::Replace([before, &event, behind].concat()),
            _ => blanked.map_or(Chunk::Pass, Chunk::Replace),
        }
    }
}

/// So many bytes of room are kept for the next message.
const IDLE: usize = 4 << 10;

impl Server {
    /// What the message is that ends with it, if any does.
    fn take(&mut self, piece: Piece<'_>) -> Said {
        let head = piece.head;
        if head.opcode.is_control() {
            return Said::default();
        }
        if piece.is_message() && head.mask.is_none() {
            return self.observer.message(piece.payload);
        }
        if !self.is_too_large {
            if self.message.len().saturating_add(piece.payload.len()) > MAX_EVENT {
                self.message = Vec::new();
                self.is_too_large = true;
            } else {
                unmask(head.mask, piece.at, piece.payload, &mut self.message);
            }
        }
        if !piece.ends() || !head.is_final {
            return Said::default();
        }
        if std::mem::take(&mut self.is_too_large) {
            self.observer.miss();
            return Said::default();
        }
        let said = self.observer.message(&self.message);
        self.message.clear();
        self.message.shrink_to(IDLE);
        said
    }
}

impl Attempt {
    /// A chunk of what the client sends has come behind its request: what to do with it.
    pub fn client_chunk(&mut self, chunk: &[u8]) -> Chunk {
        match &mut self.socket {
            Some(socket) => socket.clients(chunk, self.config.body_limit),
            None => Chunk::Pass,
        }
    }

    /// There is no room for what is held of the client's messages: it is not listened to any more, behind what `step`
    /// says.
    pub fn end_client_for_room(&mut self, step: Chunk) -> Chunk {
        match &mut self.socket {
            Some(socket) => socket.end_for_room(step),
            None => step,
        }
    }

    /// Whether the request becomes a WebSocket, whose frames are to be given to [`Attempt::client_chunk`].
    #[must_use]
    pub fn opens_socket(&self) -> bool {
        self.endpoint.opens_socket()
    }
}

#[cfg(test)]
mod tests;
