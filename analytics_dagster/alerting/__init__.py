"""What failed, who hears of it, through which channel, once and until it is over."""
