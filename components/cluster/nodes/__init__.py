"""Node pools: settings, capacity, images, launch templates, reservations."""
