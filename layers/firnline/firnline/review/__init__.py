"""What people do: which predictions they see, what their task holds, what they answer."""
