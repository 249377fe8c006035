"""placeholder"""


def storable(text: str, most: int = 20_000) -> str:
    return text.replace("\0", "\ufffd")[-most:]
