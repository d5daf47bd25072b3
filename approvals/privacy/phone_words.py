"""The words beside which a national phone number may stand, in the languages of the EU and more."""

from __future__ import annotations

import re

from approvals.privacy.word_tree import listed, tree

_WHOLE = listed(
    "tel telephone phone phones call called calls calling callback mobile mob cell cellphone"
    " landline whatsapp sms fax hotline dial rang ring ph angerufen durchwahl erreichbar tél"
    " portable joindre joignable móvil movil celular cellulare recapito gsm bel bellen gebeld"
    " bereikbaar telemóvel ligar ligue ringa ringde nås tlf"
)
# Any ending may follow these.
_STEMS = listed(
    "telefon teléfon telefón handy mobil anruf rückruf festnetz téléphon appel rappel llam chiam"
    " telefoon mobiel komórk zadzwo dzwoni puhelin τηλ тел"
)
WORDS = re.compile(rf"(?<![^\W\d_])(?:{tree(_WHOLE)}|(?:{tree(_STEMS)})\w{{0,8}})(?![^\W\d_])")
# What a number directly behind is, if not a phone's.
OTHER_NUMBERS = frozenset(
    listed(
        "order ticket invoice case ref reference auftrag bestellung rechnung vorgang kunde customer"
        " commande facture dossier pedido factura ordine fattura bestelling factuur zamówienie"
        " zamówienia client encomenda fatura ärende sak id row record account konto"
    )
)
