//! What the resources mean together.
