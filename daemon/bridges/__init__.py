"""HTTP clients of bridges: what they are asked, and what their answers tell the reconciler."""
