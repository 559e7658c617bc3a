//! The media type of a picture, which Claude checks against its bytes: "Image does not match the provided media type".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// What Claude sees, and how the bytes of each begin (`.` is any byte):
/// <https://platform.claude.com/docs/en/build-with-claude/vision>.
const FORMATS: &[(&str, &[u8])] = &[
    ("image/png", b"\x89PNG\r\n\x1a\n"),
    ("image/jpeg", b"\xff\xd8\xff"),
    ("image/gif", b"GIF8"),
    ("image/webp", b"RIFF....WEBP"),
];

/// The type that the bytes have, or, where they begin like none of these, the declared one; `None` if Claude sees
/// neither.
pub(in crate::wire) fn media_type(declared: &str, base64: &str) -> Option<&'static str> {
    // Sixteen characters are the twelve bytes that the longest beginning has.
    let head = base64.get(..16).unwrap_or(base64).trim_end_matches('=');
    let head = STANDARD_NO_PAD.decode(head).unwrap_or_default();
    let by_bytes = FORMATS.iter().find(|(_, beginning)| {
        head.len() >= beginning.len()
            && beginning.iter().zip(&head).all(|(expected, byte)| expected == byte || *expected == b'.')
    });
    let declared = if declared == "image/jpg" { "image/jpeg" } else { declared };
    by_bytes.or_else(|| FORMATS.iter().find(|(format, _)| *format == declared)).map(|(format, _)| *format)
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn the_bytes_say_the_type_where_they_can() {
        let png = STANDARD.encode(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR");
        let webp = STANDARD.encode(b"RIFF\x1a\0\0\0WEBPVP8L");
        let jpeg = STANDARD.encode(b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01");
        assert_eq!(media_type("image/jpeg", &png), Some("image/png"));
        assert_eq!(media_type("application/octet-stream", &webp), Some("image/webp"));
        assert_eq!(media_type("image/png", &jpeg), Some("image/jpeg"));
        assert_eq!(
            media_type("image/bmp", &STANDARD.encode(b"GIF89a\x01\0\x01\0\x80\0\0")),
            Some("image/gif")
        );
        assert_eq!(media_type("image/png", "/9j/"), Some("image/jpeg"));
        // Of what is not known the client knows more.
        assert_eq!(media_type("image/jpg", "AAAA"), Some("image/jpeg"));
        assert_eq!(media_type("image/png", "no base64 at all!"), Some("image/png"));
        assert_eq!(media_type("image/bmp", &STANDARD.encode(b"BM\0\0\0\0\0\0\0\0\0\0\0")), None);
    }
}
