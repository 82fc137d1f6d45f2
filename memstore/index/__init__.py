"""Indexes of vectors: what they give is only proposed, and each can be made anew from the store."""
