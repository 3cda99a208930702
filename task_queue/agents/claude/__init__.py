"""The Claude agent through the Claude Agent SDK; nothing else in the product imports that SDK."""
