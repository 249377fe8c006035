"""What a study says: arms, differences, claims. Pure functions of its cells and curves."""
