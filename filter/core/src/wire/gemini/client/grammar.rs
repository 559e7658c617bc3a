//! What clients of Gemini's streams rely on, as a test sees it, and the answer that the pieces make.

use serde_json::{Value, json};

/// Reads a whole stream, and gives the response that its pieces make; or the error it ended with.
///
/// # Panics
///
/// Where the stream is not one of Gemini's.
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
pub(crate) fn answer_of(stream: &[u8]) -> Result<Value, Value> {
    let stream = std::str::from_utf8(stream).unwrap();
    assert!(stream.ends_with("\n\n"), "the last event is not complete: {stream:?}");
    let mut answer: Option<Value> = None;
    let mut events = stream.trim_end_matches('\n').split("\n\n").filter(|event| !event.is_empty());
    while let Some(event) = events.next() {
        let piece: Value = serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap();
        if event.starts_with("data: {\"error\":") {
            // Python's SDK looks at the beginning of the text.
            let error = &piece["error"];
            assert!(error["code"].is_u64() && error["message"].is_string() && error["status"].is_string());
            assert_eq!(events.next(), None, "something follows the error");
            return Err(piece);
        }
        assert!(piece["modelVersion"].is_string() && piece["responseId"].is_string());
        let answer = answer.get_or_insert_with(|| {
            json!({"candidates": [], "modelVersion": piece["modelVersion"], "responseId": piece["responseId"]})
        });
        assert!(answer["usageMetadata"].is_null(), "something follows the usage");
        for member in ["modelVersion", "responseId"] {
            assert_eq!(answer[member], piece[member], "another {member}");
        }
        for member in ["usageMetadata", "promptFeedback"] {
            if !piece[member].is_null() {
                answer[member] = piece[member].clone();
            }
        }
        for candidate in piece["candidates"].as_array().unwrap() {
            add(answer["candidates"].as_array_mut().unwrap(), candidate);
        }
    }
    let answer = answer.unwrap_or_else(|| panic!("the stream is empty"));
    assert!(answer["usageMetadata"]["totalTokenCount"].is_u64(), "no usage: {stream}");
    for candidate in answer["candidates"].as_array().unwrap() {
        assert!(candidate.is_null() || candidate["finishReason"].is_string(), "no end: {stream}");
    }
    Ok(answer)
}

#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
fn add(candidates: &mut Vec<Value>, piece: &Value) {
    let index = usize::try_from(piece["index"].as_u64().unwrap()).unwrap();
    if candidates.len() <= index {
        candidates.resize(index + 1, Value::Null);
    }
    if candidates[index].is_null() {
        candidates[index] = json!({"content": {"role": "model", "parts": []}, "index": index});
    }
    let candidate = &mut candidates[index];
    assert!(candidate["finishReason"].is_null(), "something follows the end of a candidate");
    assert_eq!(piece["content"]["role"], "model");
    let parts = piece["content"]["parts"].as_array().unwrap();
    assert!(!parts.is_empty(), "Python's SDK drops a turn of which a piece has no parts");
    for part in parts {
        assert_ne!(*part, json!({}), "nor is a part empty");
        let all = candidate["content"]["parts"].as_array_mut().unwrap();
        let before = all.last_mut().filter(|before| {
            let is_same = before["thought"] == part["thought"];
            is_same && before["text"].is_string() && before.get("thoughtSignature").is_none()
        });
        match (before, part["text"].as_str()) {
            (Some(before), Some(text)) => {
                before["text"] = json!(format!("{}{text}", before["text"].as_str().unwrap()));
                if let Some(signature) = part.get("thoughtSignature") {
                    before["thoughtSignature"] = signature.clone();
                }
            }
            (None, Some("")) if part.get("thoughtSignature").is_none() => {}
            _ => all.push(part.clone()),
        }
    }
    for (member, value) in piece.as_object().unwrap() {
        if member != "content" && member != "index" {
            candidate[member] = value.clone();
        }
    }
}
