from . import workshop_rental
