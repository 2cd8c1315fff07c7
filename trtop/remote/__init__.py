"""The client side of a daemon: connections, questions, answers, merged hosts. Draws nothing."""
