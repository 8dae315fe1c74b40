from pymaild.mail.stores import Store

class Octets:
    def __init__(self, store: Store) -> None: ...

class MaildirOctets(Octets):
    def __init__(self, store: Store, new: bytes, cur: bytes) -> None: ...
