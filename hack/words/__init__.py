"""Check the project's text for words that its glossary refuses."""
