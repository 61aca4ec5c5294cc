"""How far composites are from photographs: cues of F and B, and what tells them apart."""
